package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"

	"github.com/serin-rollouts/serin/cmd/serin/client"
	"github.com/serin-rollouts/serin/cmd/serin/show"
	"github.com/serin-rollouts/serin/internal/bus"
	"github.com/serin-rollouts/serin/internal/event"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// selection is which events `serin events` was told to show.
type selection struct {
	app    *app
	follow bool
	since  string
	types  []string
}

func newEvents(a *app) *cobra.Command {
	s := &selection{app: a}
	cmd := &cobra.Command{
		Use:   "events [SERVICE|ROLLOUT]",
		Short: "Show what happened, and what happens",
		Long: "Show what happened: the events that the bus keeps, 30 days of them; of all services, of one\n" +
			"SERVICE, or of one ROLLOUT. Triggers that were refused are events of the service. With -o json\n" +
			"each is a CloudEvent on one line. It needs no leader. -f goes on with what happens, until Ctrl-C.",
		Example: "  serin events checkout --since 1h\n" +
			"  serin events -f --type rolledback --type aborted\n" +
			"  serin events -f -o json | jq -r .data.text",
		Args:              atMostOne("service or rollout"),
		ValidArgsFunction: a.completeRollouts(),
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.run(cmd.Context(), strings.Join(args, ""))
		},
	}
	f := cmd.Flags()
	f.BoolVarP(&s.follow, "follow", "f", false, "go on with what happens")
	f.StringVar(&s.since, "since", "", "leave out what is older: a `time` ago (90m, 24h) or a point of time (RFC 3339)")
	f.StringSliceVar(&s.types, "type", nil, "only these `kinds`: step, rolledback, ... or the CloudEvents type")
	_ = cmd.RegisterFlagCompletionFunc("type", cobra.FixedCompletions(eventKinds(), cobra.ShellCompDirectiveNoFileComp)) // the flag exists
	return cmd
}

// Private

// eventKinds are all kinds that this release knows.
func eventKinds() []string {
	return []string{
		string(rollout.KindRefused), string(rollout.KindUnchanged), string(rollout.KindSubmitted), string(rollout.KindStep), string(rollout.KindApproved),
		string(rollout.KindPaused), string(rollout.KindResumed), string(rollout.KindRenewed),
		string(rollout.KindExcluded), string(rollout.KindReleased), string(rollout.KindLost), string(rollout.KindPromoting), string(rollout.KindRollingBack),
		string(rollout.KindFrozen), string(rollout.KindThawed),
		string(rollout.KindSucceeded), string(rollout.KindRolledBack), string(rollout.KindAborted),
	}
}

func (s *selection) run(ctx context.Context, name string) error {
	filter, err := s.filter(name)
	if err != nil {
		return err
	}
	a := s.app
	bounded, stop := a.within(ctx)
	defer stop()
	err = a.with(ctx, func(c *client.Client) error {
		return c.Events(bounded, filter, func(e rollout.Event, raw []byte) error {
			if !s.wanted(e, name) {
				return nil
			}
			return a.printEvent(e, raw)
		})
	})
	switch {
	case s.follow && errors.Is(err, context.Canceled):
		return nil // Ctrl-C is the way to end it
	case s.follow && errors.Is(context.Cause(bounded), errTimeLimit):
		return nil
	case errors.Is(context.Cause(bounded), errTimeLimit):
		return exitf(exitNoLeader, "the events could not be read within --timeout %s", a.timeout)
	}
	return err
}

// filter is what the bus can leave out by itself.
func (s *selection) filter(name string) (bus.Filter, error) {
	f := bus.Filter{Follow: s.follow}
	if name != "" {
		if err := validName(name); err != nil {
			return f, err
		}
		if !regexp.MustCompile(`-[0-9]+$`).MatchString(name) { // else it may be a rollout as well
			f.Service = name
		}
	}
	if len(s.types) == 1 {
		f.Kind = s.kinds()[0]
	}
	if s.since != "" {
		since, err := sinceOf(s.since, time.Now())
		if err != nil {
			return f, err
		}
		f.Since = since
	}
	if err := f.Validate(); err != nil {
		return f, usagef("--type: %v", err)
	}
	return f, nil
}

// wanted is what the bus could not leave out.
func (s *selection) wanted(e rollout.Event, name string) bool {
	if name != "" && e.Service != name && !event.Concerns(e, name) {
		return false
	}
	return len(s.types) == 0 || slices.Contains(s.kinds(), string(e.Kind))
}

// kinds are the types in their short form.
func (s *selection) kinds() []string {
	before, after, _ := strings.Cut(event.Type("*"), "*")
	kinds := make([]string, 0, len(s.types))
	for _, t := range s.types {
		kinds = append(kinds, strings.TrimSuffix(strings.TrimPrefix(t, before), after))
	}
	return kinds
}

func sinceOf(text string, now time.Time) (time.Time, error) {
	if d, err := time.ParseDuration(text); err == nil {
		return now.Add(-d), nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return t, usagef("--since %s: write how long ago (90m, 24h), or a point of time (2026-11-22T23:56:00Z)", text)
	}
	return t, nil
}

func (a *app) printEvent(e rollout.Event, raw []byte) error {
	text := strings.TrimSpace(string(raw))
	a.wrote = true
	switch a.output {
	case "json":
	case "yaml":
		document, err := yaml.JSONToYAML(raw)
		if err != nil {
			return fmt.Errorf("encode event %d: %w", e.Seq, err)
		}
		text = "---\n" + strings.TrimSpace(string(document))
	case "name":
		text = show.Subject(e)
	default:
		text = a.show().Event(e)
	}
	if _, err := io.WriteString(a.out, text+"\n"); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}
