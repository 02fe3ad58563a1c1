// Command sim simulates fleets: see internal/sim.
//
//	go run ./chaos/sim -seeds 1000          fleets from seed 1 to 1000
//	go run ./chaos/sim -steps 1000000       as many seeds as it takes
//	go run ./chaos/sim -seed 17             one fleet, with its whole story
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/serin-rollouts/serin/internal/sim"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "sim:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("sim", flag.ContinueOnError)
	seed := flags.Uint64("seed", 0, "simulate this seed alone and tell its story; with -seeds or -steps: the first one")
	seeds := flags.Int("seeds", 0, "simulate so many seeds")
	steps := flags.Int("steps", 0, "simulate seeds until so many steps are done")
	shrink := flags.Bool("shrink", true, "shorten the story of a broken promise")
	machine := flags.Bool("json", false, "say in one line of JSON what was found, and no story")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *seeds == 0 && *steps == 0 && *seed != 0 {
		return sim.Tell(out, *seed, *shrink)
	}
	return sim.Campaign(ctx, out, sim.Plan{First: max(*seed, 1), Seeds: *seeds, Steps: *steps, Shrink: *shrink, JSON: *machine})
}
