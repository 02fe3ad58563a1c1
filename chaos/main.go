// Chaos breaks a fleet of real processes while users use it and operators roll
// out good and bad versions, and then judges what everybody saw. See README.md.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/serin-rollouts/serin/chaos/cell"
	"github.com/serin-rollouts/serin/chaos/check"
	"github.com/serin-rollouts/serin/chaos/history"
	"github.com/serin-rollouts/serin/chaos/nemesis"
)

// Exit codes.
const (
	exitViolated = 1
	exitUsage    = 2
)

func main() {
	cell.Init()
	os.Exit(run())
}

// Private

// options are the command line's.
type options struct {
	Options

	bin, report, save, check string
}

func run() int {
	var o options
	flag.StringVar(&o.Nemesis, "nemesis", nemesis.Mix, "how the fleet is broken: mix, none, or some of "+strings.Join(names(), ","))
	flag.StringVar(&o.Versions, "versions", everything, "ill versions that are rolled out beside the good ones: all, or some of "+strings.Join(ills(), ","))
	flag.Uint64Var(&o.Seed, "seed", 0, "of all that is left to chance; 0: any")
	flag.DurationVar(&o.For, "for", time.Minute, "how long the fleet is broken and used; healing and looking come after it")
	flag.IntVar(&o.Count, "count", 0, "stop after so many faults; 0: no bound")
	flag.IntVar(&o.Hosts, "hosts", 3, "Docker hosts")
	flag.IntVar(&o.Replicas, "replicas", 3, "replicas of the coordinator")
	flag.BoolVar(&o.OwnBus, "own-bus", false, "one NATS server on a host of its own, not one in each replica")
	flag.IntVar(&o.Services, "services", 2, "services that are rolled out side by side")
	flag.IntVar(&o.Rate, "rate", 120, "requests per second, of all services on all hosts together")
	flag.DurationVar(&o.Calm, "calm", 2*time.Second, "the longest time between two faults")
	flag.StringVar(&o.bin, "bin", "", "`directory` of serin, serin-coordinator and serin-agent; empty: they are built")
	flag.StringVar(&o.report, "report", "", "write what came out as JSON to this `file`")
	flag.StringVar(&o.save, "save", "", "keep the history and all logs in this `directory`")
	flag.StringVar(&o.check, "check", "", "judge the history in this `file` again, and run nothing")
	flag.Parse()
	if o.Seed == 0 {
		o.Seed = uint64(time.Now().UnixNano()) % 1e9 //nolint:gosec // it is positive
	}
	code, err := o.run()
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
	}
	return code
}

func names() (all []string) {
	for _, k := range nemesis.Kinds() {
		all = append(all, k.Name)
	}
	return all
}

func ills() (all []string) {
	for _, d := range menu() {
		if d.ill != "" {
			all = append(all, d.Tag)
		}
	}
	return all
}

func (o options) run() (int, error) {
	if o.check != "" {
		return o.judge()
	}
	if err := o.Validate(); err != nil {
		return exitUsage, err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ground, inside, code, err := enclose(ctx, o.bin, o.save)
	if err != nil || !inside {
		return max(code, btoi(err != nil)), err
	}
	o.Ground, o.Say = ground, say
	say("seed %d, nemesis %s, %s", o.Seed, o.Nemesis, o.For)
	record, err := Run(ctx, o.Options)
	if err != nil {
		return exitViolated, err
	}
	if err := o.keep(record); err != nil {
		return exitViolated, err
	}
	return o.tell(record)
}

// judge reads a history that was saved.
func (o options) judge() (int, error) {
	data, err := os.ReadFile(o.check)
	if err != nil {
		return exitUsage, fmt.Errorf("read the history: %w", err)
	}
	var record history.Record
	if err := json.Unmarshal(data, &record); err != nil {
		return exitUsage, fmt.Errorf("read the history %s: %w", o.check, err)
	}
	return o.tell(&record)
}

func (o options) tell(record *history.Record) (int, error) {
	report := NewReport(record, check.Record(record))
	fmt.Print(report.Text())
	if o.report != "" {
		data, err := json.MarshalIndent(report, "", "  ")
		if err == nil {
			err = os.WriteFile(o.report, append(data, '\n'), 0o600)
		}
		if err != nil {
			return exitViolated, fmt.Errorf("write the report: %w", err)
		}
	}
	switch {
	case len(report.Violations) > 0:
		return exitViolated, errors.New("promises were broken")
	case report.Empty():
		return exitViolated, errors.New("promises were not checked")
	}
	return 0, nil
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

func say(format string, args ...any) {
	fmt.Printf("%s %s\n", time.Now().Format(time.TimeOnly), fmt.Sprintf(format, args...))
}
