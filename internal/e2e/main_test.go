// Package e2e tests the programs as users run them: real processes, real
// Docker, real HAProxy, and traffic all the while.
package e2e

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/serin-rollouts/serin/agent/docker"
	"github.com/serin-rollouts/serin/internal/needtest"
)

// together is how many tests run at once at least.
const together = 4

// bin holds the programs, built once for all tests.
var bin string

func TestMain(m *testing.M) {
	flag.Parse()
	// These tests wait far more than they compute.
	if err := flag.Set("test.parallel", strconv.Itoa(max(together, runtime.GOMAXPROCS(0)))); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	// Programs inherit from nohup that they ignore hangups, but not that we hear them.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "serin-bin")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	build := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-o", dir, "./cmd/...")
	build.Dir = filepath.Join("..", "..")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "build the programs:", err)
		return 1
	}
	bin = dir
	return m.Run()
}

// newChance is what a test leaves to chance: the moments at which it strikes.
// SERIN_E2E_SEED repeats the choices of an earlier run, which are in its log.
func newChance(t *testing.T) *rand.Rand {
	t.Helper()
	seed := rand.Uint64N(1e9)
	if text := os.Getenv("SERIN_E2E_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("SERIN_E2E_SEED: %v", err)
		}
	}
	t.Logf("SERIN_E2E_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// needMachine skips, or fails in CI, where Docker or HAProxy are missing.
func needMachine(t *testing.T) {
	t.Helper()
	_, err := exec.LookPath("haproxy")
	if err == nil {
		var engine *docker.Engine
		if engine, err = docker.Open(t.Context(), docker.Config{}); err == nil {
			err = engine.Close()
		}
	}
	needtest.Need(t, "Docker and HAProxy", err)
}

// eventually polls real processes until try works.
func eventually(t *testing.T, what string, try func() error) {
	t.Helper()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.Now().Add(patience)
	for {
		err := try()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not in %s: %v", what, patience, err)
		}
		<-ticker.C
	}
}

// bounded is a context for what has to end soon, in clean-ups too.
func bounded(t *testing.T, limit time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	t.Cleanup(cancel)
	return ctx
}

func writeFile(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
