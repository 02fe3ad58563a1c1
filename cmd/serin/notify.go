package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/serin-rollouts/serin/cmd/serin/client"
	"github.com/serin-rollouts/serin/cmd/serin/notify"
	"github.com/serin-rollouts/serin/internal/bus"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// allKinds stands for every kind of event.
const allKinds = "all"

// giveUp is how long a message is tried for, if nothing else is said.
const giveUp = time.Hour

// notifier is what `serin notify` was told.
type notifier struct {
	app             *app
	to              []string
	toFile          string
	services, kinds []string
	title, template string
	state, since    string
	giveUp          time.Duration
	once            bool
}

func newNotify(a *app) *cobra.Command {
	n := &notifier{app: a}
	cmd := &cobra.Command{
		Use:   "notify --to URL",
		Short: "Tell people elsewhere what happens: chats, mail, webhooks",
		Long: "Tell people elsewhere what happens: it follows the events until it is stopped, and sends those\n" +
			"that are wanted to each URL, in the form of shoutrrr: slack://, teams://, discord://, telegram://,\n" +
			"matrix://, ntfy://, pagerduty://, smtp://, generic+https:// (a webhook) and others; docs/notify.md\n" +
			"shows some. URLs hold secrets, which all users of a machine see in its list of processes: --to-file\n" +
			"reads them from a file, one a line.\n\n" +
			"With --state it goes on where it was: each target gets each message at least once, and twice only\n" +
			"if it took one without an answer, or before a crash. A target that does not take a message is tried\n" +
			"again with longer and longer pauses, and the other targets do not wait for it. Without --state it\n" +
			"begins with what happens from now on. Run one for each file.\n\n" +
			"Templates are Go's, with {{.Service}}, {{.Rollout}}, {{.Kind}}, {{.What}} (rolled back), {{.From}},\n" +
			"{{.To}}, {{.Image}}, {{.Step}}, {{.Steps}}, {{.Weight}}, {{.Hosts}}, {{.By}}, {{.Text}} (why), {{.Time}},\n" +
			"and {{.Line}}, which says it all.",
		Example: "  serin notify test --to 'slack://hook:T000-B000-XXX@webhook'\n" +
			"  serin notify --to-file /etc/serin/notify.urls --state /var/lib/serin-notify/positions\n" +
			"  serin notify --to ntfy://ntfy.sh/our-rollouts --kind rolledback,paused --service checkout\n" +
			"  serin notify --dry-run --once --since 24h --template '{{.Service}}: {{.Text}}'",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return n.run(cmd.Context()) },
	}
	n.where(cmd)
	f := cmd.Flags()
	f.StringSliceVar(&n.services, "service", nil, "only these services; all if not given")
	f.StringSliceVar(&n.kinds, "kind", wantedKinds(), "only these `kinds` of events; all for all")
	f.StringVar(&n.state, "state", "", "remember in this `file` what has been sent, and go on there")
	f.StringVar(&n.since, "since", "", "where there is nothing to go on from, begin a `time` ago (90m, 24h), or at a point of time (RFC 3339)")
	f.BoolVar(&n.once, "once", false, "send what is stored, then end")
	f.DurationVar(&n.giveUp, "give-up", giveUp, "go on to the next message when one has not been taken for so long")
	f.BoolVar(&a.dryRun, "dry-run", false, "print what would be sent, and neither send nor remember it")
	_ = cmd.RegisterFlagCompletionFunc("kind", cobra.FixedCompletions(append(eventKinds(), allKinds), cobra.ShellCompDirectiveNoFileComp)) // the flag exists
	_ = cmd.RegisterFlagCompletionFunc("service", a.completeServices())                                                                    // the flag exists
	cmd.AddCommand(newNotifyTest(a))
	return cmd
}

func newNotifyTest(a *app) *cobra.Command {
	n := &notifier{app: a}
	cmd := &cobra.Command{
		Use:   "test --to URL",
		Short: "Send an example to each target, once",
		Long: "Send an example, a rollout of a service called example that went back, to each target, once.\n" +
			"It asks no coordinator. The exit code is 1 if a target did not take it.",
		Example: "  serin notify test --to-file /etc/serin/notify.urls",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return n.test(cmd.Context()) },
	}
	n.where(cmd)
	return cmd
}

// Private

// where adds the flags that say whom to tell, and how.
func (n *notifier) where(cmd *cobra.Command) {
	f := cmd.Flags()
	f.SortFlags = false
	f.StringArrayVar(&n.to, "to", nil, "send to this `URL`; may be given several times")
	f.StringVar(&n.toFile, "to-file", "", "send to the URLs in this `file`, one a line; # begins a remark")
	f.StringVar(&n.title, "title", notify.DefaultTitle, "template of the title, for targets that show one")
	f.StringVar(&n.template, "template", notify.DefaultBody, "template of the message")
}

// wantedKinds are those that people want to hear of.
func wantedKinds() []string {
	return []string{
		string(rollout.KindSubmitted), string(rollout.KindPaused), string(rollout.KindExcluded), string(rollout.KindLost),
		string(rollout.KindSucceeded), string(rollout.KindRolledBack), string(rollout.KindAborted), string(rollout.KindRefused),
		string(rollout.KindFrozen), string(rollout.KindThawed),
	}
}

func (n *notifier) run(ctx context.Context) error {
	cfg, err := n.config()
	if err != nil {
		return err
	}
	bounded, stop := n.app.within(ctx)
	defer stop()
	err = n.app.with(ctx, func(c *client.Client) error {
		if n.app.dryRun {
			return n.print(bounded, c, cfg)
		}
		cfg.Source = c
		return notify.Run(bounded, cfg)
	})
	switch {
	case errors.Is(context.Cause(bounded), errTimeLimit):
		if n.once {
			return exitf(exitTimeout, "not all could be sent within --timeout %s", n.app.timeout)
		}
		return nil
	case errors.Is(err, context.Canceled) && !n.once:
		return nil // Ctrl-C is the way to end it
	}
	return err
}

// config checks what was given.
func (n *notifier) config() (notify.Config, error) {
	cfg := notify.Config{Once: n.once, GiveUp: n.giveUp, Wanted: n.wanted, Sent: n.sent, Failed: n.failed, Note: n.note}
	err := n.valid()
	if err != nil {
		return cfg, err
	}
	if cfg.Template, err = notify.NewTemplate(n.title, n.template); err != nil {
		return cfg, usagef("%v", err)
	}
	if n.since != "" {
		if cfg.Since, err = sinceOf(n.since, time.Now()); err != nil {
			return cfg, err
		}
	}
	if n.app.dryRun {
		return cfg, nil
	}
	if cfg.Targets, err = n.targets(); err != nil || n.state == "" {
		return cfg, err
	}
	if cfg.Positions, err = notify.OpenPositions(n.state); err != nil {
		return cfg, usagef("--state: %v", err)
	}
	return cfg, nil
}

// valid looks at what is wanted.
func (n *notifier) valid() error {
	for _, k := range n.kinds {
		if k != allKinds && !slices.Contains(eventKinds(), k) {
			return usagef("--kind %s: use %s, or all", k, strings.Join(eventKinds(), ", "))
		}
	}
	for _, s := range n.services {
		if err := validName(s); err != nil {
			return err
		}
	}
	if n.giveUp <= 0 {
		return usagef("--give-up %s: has to be longer than nothing", n.giveUp)
	}
	return nil
}

// targets are those of both flags.
func (n *notifier) targets() ([]*notify.Target, error) {
	urls := slices.Clone(n.to)
	if n.toFile != "" {
		text, err := os.ReadFile(n.toFile)
		if err != nil {
			return nil, usagef("--to-file: %v", err)
		}
		for line := range strings.Lines(string(text)) {
			if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
				urls = append(urls, line)
			}
		}
	}
	if len(urls) == 0 {
		return nil, usagef("name a target: --to URL, or --to-file FILE")
	}
	slices.Sort(urls)
	var targets []*notify.Target
	for _, u := range slices.Compact(urls) {
		t, err := notify.Open(u)
		if err != nil {
			return nil, usagef("--to %v", err)
		}
		targets = append(targets, t)
	}
	return targets, nil
}

func (n *notifier) wanted(e rollout.Event) bool {
	return (len(n.services) == 0 || slices.Contains(n.services, e.Service)) &&
		(slices.Contains(n.kinds, allKinds) || slices.Contains(n.kinds, string(e.Kind)))
}

// print is a dry run.
func (n *notifier) print(ctx context.Context, c *client.Client, cfg notify.Config) error {
	filter := bus.Filter{Follow: !n.once, Since: cfg.Since}
	if cfg.Since.IsZero() {
		last, err := c.LastEvent(ctx)
		if err != nil {
			return err
		}
		filter.FromSeq = last + 1
	}
	return c.Events(ctx, filter, func(e rollout.Event, _ []byte) error {
		if !n.wanted(e) {
			return nil
		}
		m, err := cfg.Template.Render(e)
		if err != nil {
			return err
		}
		return n.show(m)
	})
}

// show prints a message; for programs as the body of a webhook's post.
func (n *notifier) show(m notify.Message) error {
	if n.app.structured() {
		return n.app.encode(m)
	}
	_, err := fmt.Fprintf(n.app.out, "%s\n%s\n\n", m.Title, m.Body)
	return err
}

// test sends the example.
func (n *notifier) test(ctx context.Context) error {
	template, err := notify.NewTemplate(n.title, n.template)
	if err != nil {
		return usagef("%v", err)
	}
	targets, err := n.targets()
	if err != nil {
		return err
	}
	m, err := template.Render(notify.Example())
	if err != nil {
		return usagef("%v", err)
	}
	ctx, stop := n.app.within(ctx)
	defer stop()
	var failed error
	for _, t := range targets {
		if err := t.Send(ctx, m); err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", t, err))
			continue
		}
		n.sent(t, m)
	}
	if failed == nil && n.app.structured() {
		return n.app.encode(m)
	}
	return failed
}

func (n *notifier) sent(t *notify.Target, m notify.Message) { n.app.say("%s: sent %s", t, m.Title) }

func (n *notifier) failed(t *notify.Target, m notify.Message, err error, last bool) {
	if last {
		n.app.complain("%s: given up: %s: %v", t, m.Title, err)
		return
	}
	n.app.say("%s: not taken, trying again: %s: %v", t, m.Title, err)
}

func (n *notifier) note(text string) { n.app.complain("%s", text) }
