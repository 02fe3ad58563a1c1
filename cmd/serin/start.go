package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/serin-rollouts/serin/cmd/serin/client"
	"github.com/serin-rollouts/serin/cmd/serin/show"
	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/rollout"
	"github.com/serin-rollouts/serin/internal/specfile"
)

// start is what `serin start` was told.
type start struct {
	app        *app
	image, id  string
	ifRevision string
	detach     bool
	fire       bool
	replace    bool
	force      bool
	override   bool
}

func newStart(a *app) *cobra.Command {
	s := &start{app: a}
	cmd := a.changing(&cobra.Command{
		Use:   "start FILE",
		Short: "Start a rollout, follow it, and exit with its verdict",
		Long: "Start a rollout as FILE says (- for standard input), follow it, and exit with its verdict:\n" +
			"0 promoted, 3 rolled back, 4 aborted. Where a step waits for approval it says how to give it, and\n" +
			"follows on; a script that shall not wait for a person starts with --detach, and `serin wait` then\n" +
			"exits with 6. Ctrl-C and --timeout leave the rollout running.\n\n" +
			"TRACEPARENT, if the environment has it, goes along: the rollout's trace is then a part of the\n" +
			"pipeline's own.",
		Example: "  serin start rollout.yaml\n" +
			"  serin start rollout.yaml --image registry.example.com/checkout:1.4.0 --reason 'faster search'\n" +
			"  serin start rollout.yaml --detach -o name        # prints checkout-7; later: serin wait checkout-7\n" +
			"  serin start rollout.yaml --id \"$CI_JOB_ID\"        # a retried job starts nothing twice",
		Args:              oneOf("FILE"),
		ValidArgsFunction: completeFile,
		RunE:              func(cmd *cobra.Command, args []string) error { return s.run(cmd.Context(), args[0]) },
	})
	f := cmd.Flags()
	f.StringVar(&s.image, "image", "", "roll this `reference` out instead of the file's")
	f.StringVar(&s.id, "id", "", "name the trigger: a repetition with the same id starts nothing")
	f.BoolVar(&s.detach, "detach", false, "do not follow: print the rollout's id and end")
	f.BoolVar(&s.replace, "replace", false, "abort a running rollout first, instead of being refused")
	f.BoolVar(&s.force, "force", false, "roll out what is stable already")
	f.BoolVar(&s.override, "override-freeze", false, "begin although the service, or the fleet, is frozen; takes --reason")
	f.StringVar(&s.ifRevision, "if-revision", "", "refuse unless this `revision` is stable (see serin plan -o json)")
	f.BoolVar(&s.fire, "fire", false, "publish the trigger and wait for no answer, not even from a leader")
	return cmd
}

// Private

func (s *start) run(ctx context.Context, file string) error {
	spec, text, err := s.app.readSpec(file, s.image)
	if err != nil {
		return err
	}
	t, err := s.trigger(text)
	if err != nil {
		return err
	}
	return s.app.with(ctx, func(c *client.Client) error {
		switch {
		case s.app.dryRun:
			return s.app.plan(ctx, c, spec.Service, t)
		case s.fire:
			return s.publish(ctx, c, spec.Service, t)
		}
		return s.request(ctx, c, spec.Service, t)
	})
}

func (s *start) trigger(text []byte) (api.Trigger, error) {
	if s.override && s.app.reason == "" {
		return api.Trigger{}, usagef("--override-freeze takes --reason: say why, for the record")
	}
	quoted, err := quote(text)
	if err != nil {
		return api.Trigger{}, err
	}
	return api.Trigger{
		ID: cmp.Or(s.id, newID()), Image: s.image, Spec: quoted, By: s.app.by(), Reason: s.app.reason,
		Replace: s.replace, Force: s.force, Override: s.override, IfRevision: s.ifRevision,
		Trace: s.app.env("TRACEPARENT"),
	}, nil
}

// request sends the trigger and follows what comes of it.
func (s *start) request(ctx context.Context, c *client.Client, service string, t api.Trigger) error {
	a := s.app
	bounded, stop := a.within(ctx)
	defer stop()
	reply, err := c.Trigger(ctx, service, t, cmp.Or(a.timeout, triggerWait))
	if errors.Is(err, context.Canceled) {
		return exitf(exitInterrupted, "interrupted; the trigger may have been taken: `serin status %s` shows it", service)
	}
	if err != nil {
		return err
	}
	if reply.Unchanged {
		a.say("%s", cmp.Or(reply.Message, "the trigger is known already"))
	}
	if s.detach || reply.Rollout == "" {
		return a.print(reply, func(out io.Writer, _ show.Options) error { return printID(out, reply) }, names(reply.Rollout))
	}
	return a.followToEnd(bounded, c, a.progress(), service, reply.Rollout)
}

func (s *start) publish(ctx context.Context, c *client.Client, service string, t api.Trigger) error {
	if err := c.Fire(ctx, service, t); err != nil {
		return err
	}
	s.app.say("published; nobody has confirmed it: `serin events %s` shows what comes of it", service)
	return s.app.print(t, nil, []string{t.ID})
}

// readSpec reads and checks a rollout file. An image that is named beside it
// may be missing in it.
func (a *app) readSpec(file, image string) (rollout.Spec, []byte, error) {
	text, err := a.readFile(file)
	if err != nil {
		return rollout.Spec{}, nil, err
	}
	spec, err := specfile.Parse(text)
	if wrong, ok := errors.AsType[*specfile.Error](err); ok && image != "" && wrong.Field == "image" {
		text = []byte(strings.TrimRight(string(text), "\n") + "\nimage: " + strconv.Quote(image) + "\n")
		spec, err = specfile.Parse(text)
	}
	if err != nil {
		return spec, nil, &faulty{file, specfile.Mistakes(text)}
	}
	if image != "" {
		spec.Image = image
		if problem := spec.Validate(); problem != nil {
			return spec, nil, usagef("--image: %v", problem)
		}
	}
	return spec, text, nil
}

// quote makes a JSON string of a text without blowing it up.
func quote(text []byte) (json.RawMessage, error) {
	var b strings.Builder
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(string(text)); err != nil {
		return nil, fmt.Errorf("encode rollout file: %w", err)
	}
	return json.RawMessage(strings.TrimSpace(b.String())), nil
}

// newID names a request, so that repeating it does no harm.
func newID() string { return "cli-" + rand.Text() }

func printID(out io.Writer, r api.Reply) error {
	if r.Rollout == "" {
		return nil
	}
	if _, err := fmt.Fprintln(out, r.Rollout); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}

func names(id string) []string {
	if id == "" {
		return nil
	}
	return []string{id}
}
