package main

import (
	"context"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/serin-rollouts/serin/cmd/serin/client"
	"github.com/serin-rollouts/serin/cmd/serin/show"
	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// freeze is what `serin freeze` was told.
type freeze struct {
	app   *app
	until string
}

func newFreeze(a *app) *cobra.Command {
	f := &freeze{app: a}
	cmd := a.changing(&cobra.Command{
		Use:   "freeze [SERVICE]",
		Short: "Keep rollouts of a service, or of the whole fleet, from beginning",
		Long: "Keep rollouts of a SERVICE, or of the whole fleet, from beginning, until a time or until `serin\n" +
			"thaw`. Triggers, whoever sends them, are refused with the reason (exit code 7), and so is a rollout\n" +
			"that waits to take another's place. What runs goes on, since half a rollout is no safer: `serin\n" +
			"pause` holds it, `serin abort` takes it back. Ways back are never barred: `serin rollback` works,\n" +
			"and a rollout that fails goes back by itself. A person goes through with `serin start\n" +
			"--override-freeze --reason`. Frozen again it is as the last one says.\n\n" +
			"Time in which no coordinator leads does not count: a freeze may end later than said, never earlier.",
		Example: "  serin freeze --until 8h --reason 'incident 4711'\n" +
			"  serin freeze --until 2026-11-30T09:00:00+01:00 --reason 'release week'\n" +
			"  serin freeze checkout --until 18:00",
		Args:              atMostOne("service"),
		ValidArgsFunction: a.completeServices(),
		RunE:              func(cmd *cobra.Command, args []string) error { return f.run(cmd.Context(), strings.Join(args, "")) },
	})
	cmd.Flags().StringVar(&f.until, "until", "", "when it ends: a `time` from now (90m, 8h), today's or tomorrow's (18:00), or a point of time (RFC 3339);\nwithout it, when it is thawed")
	return cmd
}

func newThaw(a *app) *cobra.Command {
	return a.changing(&cobra.Command{
		Use:   "thaw [SERVICE]",
		Short: "End the freeze of a service, or that of the whole fleet",
		Long: "End the freeze of a SERVICE or, without one, that of the whole fleet. Each ends by itself: a service\n" +
			"that is frozen both ways stays so until both have ended. Triggers that were refused do not come\n" +
			"again by themselves.",
		Example:           "  serin thaw\n  serin thaw checkout --reason 'found it'",
		Args:              atMostOne("service"),
		ValidArgsFunction: a.completeFrozen(),
		RunE:              func(cmd *cobra.Command, args []string) error { return a.thaw(cmd.Context(), strings.Join(args, "")) },
	})
}

// Private

func (f *freeze) run(ctx context.Context, service string) error {
	a := f.app
	object, err := objectOf(service)
	if err != nil {
		return err
	}
	span, err := untilOf(f.until, time.Now())
	if err != nil {
		return err
	}
	body := api.Command{By: a.by(), Reason: a.reason, For: span.Milliseconds()}
	name, until := show.Frozen(object), ""
	if span > 0 {
		until = a.show().Until(time.Now().Add(span).Round(time.Second).UnixMilli())
	}
	if a.dryRun {
		return a.print(body, func(out io.Writer, _ show.Options) error { return line(out, "would freeze %s%s", name, until) }, []string{object})
	}
	return a.with(ctx, func(c *client.Client) error {
		reply, err := c.Command(ctx, api.Freezing, object, body)
		if err != nil {
			return err
		}
		if err := a.print(reply, func(out io.Writer, _ show.Options) error {
			return line(out, "%s is frozen%s: no rollout begins; `%s` ends it", name, until, show.Thaw(object))
		}, []string{object}); err != nil {
			return err
		}
		a.sayRunning(ctx, c, object)
		return nil
	})
}

// sayRunning names the rollouts that a freeze leaves running.
func (a *app) sayRunning(ctx context.Context, c *client.Client, object string) {
	services, err := client.Get[[]api.ServiceStatus](ctx, c, api.GetServices, "")
	if err != nil {
		return // a remark: the freeze is in force
	}
	for _, s := range services {
		if r := s.Rollout; s.Running && r != nil && (object == rollout.Fleet || object == s.Service) {
			a.say("%s goes on (%s): `serin pause %s` holds it, `serin abort %s` takes it back", r.ID, show.PhaseWords(r.Phase), r.ID, r.ID)
		}
	}
}

func (a *app) thaw(ctx context.Context, service string) error {
	object, err := objectOf(service)
	if err != nil {
		return err
	}
	body := api.Command{By: a.by(), Reason: a.reason}
	name := show.Frozen(object)
	if a.dryRun {
		return a.print(body, func(out io.Writer, _ show.Options) error { return line(out, "would thaw %s", name) }, []string{object})
	}
	return a.with(ctx, func(c *client.Client) error {
		reply, err := c.Command(ctx, api.Thawing, object, body)
		if err != nil {
			return err
		}
		return a.print(reply, func(out io.Writer, _ show.Options) error { return line(out, "%s is thawed", name) }, []string{object})
	})
}

// objectOf is what a freeze is of: a service, or without one the fleet.
func objectOf(service string) (string, error) {
	if service == "" {
		return rollout.Fleet, nil
	}
	return service, validName(service)
}

// untilOf is how long it is until a time that a person has written; 0 if none is.
func untilOf(text string, now time.Time) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	span, err := time.ParseDuration(text)
	if err != nil {
		span, err = toPoint(text, now)
	}
	switch {
	case err != nil:
		return 0, usagef("--until %s: write how long from now (90m, 8h), a time of day (18:00), or a point of time (2026-11-30T09:00:00Z)", text)
	case span <= 0:
		return 0, usagef("--until %s: is past; name a time to come", text)
	}
	return max(span, time.Millisecond), nil
}

// toPoint is how long it is to a point of time, or to the next time that clocks show
// one.
func toPoint(text string, now time.Time) (time.Duration, error) {
	clock, err := time.ParseInLocation("15:04", text, now.Location())
	if err != nil {
		point, err := time.Parse(time.RFC3339, text)
		return point.Sub(now), err
	}
	for day := now.Day(); ; day++ {
		point := time.Date(now.Year(), now.Month(), day, clock.Hour(), clock.Minute(), 0, 0, now.Location())
		if point.After(now) {
			return point.Sub(now), nil
		}
	}
}

// completeFrozen proposes services that are frozen by themselves.
func (a *app) completeFrozen() completion {
	return complete(a, api.GetServices, 1, func(s api.ServiceStatus, _ []string) []cobra.Completion {
		for _, f := range s.Frozen {
			if f.Service == s.Service {
				return []cobra.Completion{cobra.CompletionWithDesc(s.Service, "by "+f.By)}
			}
		}
		return nil
	})
}
