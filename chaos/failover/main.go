// Command failover kills the leader with kill -9, again and again, in the middle
// of a rollout and under a load of triggers, and measures how long it takes
// until somebody commits again and until the rollout goes on. In turn with it, it
// does the same to a bare group of hashicorp/raft with the same settings on the
// same disk, which is the floor.
//
//	go run ./chaos/failover -n 50
//
// It needs Docker and HAProxy, as serin demo does. The table that it prints is
// in docs/reliability.md.
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
	build := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-o", bin+"/", "./cmd/...", "./chaos/failover")
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
	defer func() { err = errors.Join(err, fleet.stop()) }() //nolint:contextcheck // what was begun is ended whatever became of ctx
	return measure(ctx, bare, fleet, *n, *pause, out)
}

// measure kills in turn.
func measure(ctx context.Context, bare *bareGroup, fleet *fleet, n int, pause time.Duration, out io.Writer) error {
	var floor, commit, action, whole []time.Duration
	for i := range n {
		took, err := bare.kill(ctx)
		if err != nil {
			return fmt.Errorf("bare group: %w", err)
		}
		floor = append(floor, took)
		m, err := fleet.kill(ctx)
		if err != nil {
			return fmt.Errorf("serin: %w", err)
		}
		commit, action, whole = append(commit, m.commit), append(action, m.action), append(whole, m.whole)
		fmt.Fprintf(os.Stderr, "%d of %d: bare %s, serin %s, the rollout's next action %s later\n",
			i+1, n, floor[i].Round(time.Millisecond), m.commit.Round(time.Millisecond), m.action.Round(time.Millisecond))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
	return table(out, n,
		row{"bare hashicorp/raft: first new commit", floor},
		row{"serin: first new commit", commit},
		row{"serin: from there to the rollout's next action", action},
		row{"serin: from the kill to that action", whole})
}
