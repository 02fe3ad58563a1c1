// Command mutants plants faults in the core, one at a time, and has the
// simulator look for each. It prints what it found as a table, and fails if a
// fault was not seen.
//
//	go run ./chaos/mutants                             all of them: some minutes
//	go run ./chaos/mutants -only "counts twice"        those with this in their name
//	go run ./chaos/mutants -write docs/reliability.md  and put the table there
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/serin-rollouts/serin/internal/sim/mutants"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("mutants", flag.ContinueOnError)
	only := flags.String("only", "", "plant those with this in their name")
	every := flags.Int("every", 1, "plant each n-th")
	from := flags.Int("from", 0, "leave out so many at first")
	seeds := flags.Int("seeds", 1000, "fleets to simulate for each, at most")
	write := flags.String("write", "", "put the table into this file, between its marks")
	if err := flags.Parse(args); err != nil {
		return err
	}
	all, err := mutants.Load()
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, func(m mutants.Mutant) bool { return !strings.Contains(m.Name, *only) })
	var chosen []mutants.Mutant
	for i := *from; i < len(all); i += max(1, *every) {
		chosen = append(chosen, all[i])
	}
	results, err := hunt(ctx, out, chosen, *seeds)
	if err == nil && *write != "" {
		err = mutants.WriteTable(*write, results)
	}
	if err != nil {
		return err
	}
	var missed []string
	for _, r := range results {
		if !r.Found() {
			missed = append(missed, r.Mutant.Name)
		}
	}
	if len(missed) > 0 {
		return fmt.Errorf("%d of %d planted faults were not seen, or by another promise than expected: %s", len(missed), len(results), strings.Join(missed, "; "))
	}
	_, err = fmt.Fprintf(out, "all %d planted faults were seen\n", len(results))
	return err
}

// hunt looks for one fault after the other, and prints what it finds.
func hunt(ctx context.Context, out io.Writer, chosen []mutants.Mutant, seeds int) (results []mutants.Result, err error) {
	dir, err := os.MkdirTemp("", "serin-mutants-*")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	root, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	for _, m := range chosen {
		r, err := mutants.Hunt{Root: root, Dir: dir, Seeds: seeds}.Run(ctx, m)
		if err != nil {
			return nil, err
		}
		results = append(results, r)
		if _, err := fmt.Fprintf(out, "%-66s %-10s %4d seeds %6.1f s  %s\n", m.Name, r.Invariant, r.Seeds, r.Took.Seconds(), r.Text); err != nil {
			return nil, err
		}
	}
	return results, nil
}
