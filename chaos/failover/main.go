// Command failover kills the leader with kill -9, again and again, in the middle
// of a rollout and under a load of triggers, and measures how long it takes
// until somebody commits again and until the rollout goes on. In turn with it, it
// does the same to a bare group of hashicorp/raft with the same settings on the
// same disk, which is the floor.
//
//	go run ./chaos/failover -n 50
//
// It needs Docker and HAProxy, as serin demo does. The table that it prints is
// in docs/reliability.md. It ends with exit code 1 if the rollout's next action came
// later than 250 ms after the first commit, be it once, and says where the fleet's
// logs are.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "failover:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) (err error) {
	flags := flag.NewFlagSet("failover", flag.ContinueOnError)
	n := flags.Int("n", 50, "kills of each leader")
	pause := flags.Duration("pause", 4*time.Second, "time for a killed replica to come back before the next kill")
	self := flags.String("bare", "", "be one bare replica of this id (for the program itself)")
	dir := flags.String("dir", "", "its directory")
	peers := flags.String("peers", "", "id=host:port,... of its group")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *self != "" {
		return beBare(ctx, *self, *dir, *peers, out)
	}
	scratch, err := os.MkdirTemp("", "failover")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()
	bin := filepath.Join(scratch, "bin")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-o", bin+"/", "./cmd/...", "./chaos/failover")
	build.Stderr = os.Stderr
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if err := os.Mkdir(bin, 0o700); err != nil {
		return err
	}
	if err := build.Run(); err != nil {
		return fmt.Errorf("build the programs, from the root of the repository: %w", err)
	}
	bare, err := startBare(ctx, filepath.Join(bin, "failover"), scratch)
	if err != nil {
		return err
	}
	defer bare.stop()
	fleet, err := startFleet(ctx, bin)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, fleet.stop(err)) }() //nolint:contextcheck // what was begun is ended whatever became of ctx
	return measure(ctx, bare, fleet, *n, *pause, out)
}

// measure kills in turn, and shows what it has measured, however it ends.
func measure(ctx context.Context, bare *bareGroup, fleet *fleet, n int, pause time.Duration, out io.Writer) error {
	var m measured
	err := m.kills(ctx, bare, fleet, n, pause)
	if len(m.floor) == 0 {
		return err
	}
	return errors.Join(err, m.table(out), m.verdict())
}

// kills adds n measurements of each.
func (m *measured) kills(ctx context.Context, bare *bareGroup, fleet *fleet, n int, pause time.Duration) error {
	for i := range n {
		took, err := bare.kill(ctx)
		if err != nil {
			return fmt.Errorf("bare group: %w", err)
		}
		f, err := fleet.kill(ctx)
		if err != nil {
			return fmt.Errorf("serin: %w", err)
		}
		m.add(took, f)
		fmt.Fprintf(os.Stderr, "%d of %d: bare %s, serin %s, the rollout's next action %s later\n",
			i+1, n, took.Round(time.Millisecond), f.commit.Round(time.Millisecond), f.action.Round(time.Millisecond))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
	return nil
}
