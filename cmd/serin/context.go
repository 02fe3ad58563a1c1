package main

import (
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/serin-rollouts/serin/cmd/serin/show"
)

func newContext(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "context",
		Short: "List, choose and show the contexts: the fleets that you work with",
		Long: "List, choose and show the contexts: the fleets that you work with. They stand in\n" +
			"$XDG_CONFIG_HOME/serin/contexts.yaml (~/.config if that is not set):\n\n" +
			"  current: prod\n" +
			"  contexts:\n" +
			"    prod: {server: [\"tls://10.0.0.1:4222\", \"tls://10.0.0.2:4222\"], ca: ca.pem, cert: ann.pem, key: ann.key}\n" +
			"    lab: {server: nats://127.0.0.1:4222}\n\n" +
			"The keys are the settings of that name; paths are below the file's directory. What counts is\n" +
			"--context, else SERIN_CONTEXT, else current. Flags such as --server override it. With --context\n" +
			"SERIN_SERVER and its like are left alone, else they override it, too, and so does --config.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		// A context that is not there must not be in the way of choosing another.
		PersistentPreRunE: func(*cobra.Command, []string) error { return a.begin() },
	}
	cmd.AddCommand(newContextList(a), newContextUse(a), newContextShow(a))
	return cmd
}

// Private

func newContextList(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the contexts; * is the current one", Args: cobra.NoArgs,
		Example: "  serin context list\n  serin context list -o name",
		RunE: func(*cobra.Command, []string) error {
			c, err := readContexts(contextsFile(a.env))
			if err != nil {
				return err
			}
			if len(c.Contexts) == 0 {
				a.say("no context yet: `serin context --help` shows how to write %s", c.file)
			}
			c.Current = a.contextName(c)
			return a.print(c, func(out io.Writer, o show.Options) error {
				return o.Contexts(out, c.names(), c.Current, func(name string) []string { return c.Contexts[name].Server })
			}, c.names())
		},
	}
}

func newContextUse(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "use NAME", Short: "Make a context the current one", Args: oneOf("context"),
		Example:           "  serin context use prod",
		ValidArgsFunction: a.completeContexts,
		RunE: func(_ *cobra.Command, args []string) error {
			c, err := readContexts(contextsFile(a.env))
			if err != nil {
				return err
			}
			if err := c.use(args[0]); err != nil {
				return err
			}
			if other := a.contextName(c); other != c.Current {
				a.say("SERIN_CONTEXT or --context says %s all the same", other)
			}
			c.Current = args[0]
			return a.print(c, func(out io.Writer, _ show.Options) error { return line(out, "%s is the context now", args[0]) }, args)
		},
	}
}

func newContextShow(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "show [NAME]", Short: "Show the settings of a context, or of the current one", Args: atMostOne("context"),
		Example:           "  serin context show\n  serin context show prod -o json",
		ValidArgsFunction: a.completeContexts,
		RunE:              func(_ *cobra.Command, args []string) error { return a.showContext(args) },
	}
}

func (a *app) showContext(args []string) error {
	c, err := readContexts(contextsFile(a.env))
	if err != nil {
		return err
	}
	name := a.contextName(c)
	if len(args) == 1 {
		name = args[0]
	}
	if name == "" {
		return usagef("no context is chosen: `serin context list` shows them, and `serin context use` chooses")
	}
	w, err := c.find(name)
	if err != nil {
		return err
	}
	return a.print(w, func(out io.Writer, _ show.Options) error {
		for _, row := range [][2]string{
			{"context", name}, {"server", strings.Join(w.Server, " ")}, {"creds", w.Creds}, {"ca", w.CA}, {"cert", w.Cert}, {"key", w.Key},
		} {
			if row[1] == "" {
				continue
			}
			if err := line(out, "%-8s %s", row[0], row[1]); err != nil {
				return err
			}
		}
		return nil
	}, []string{name})
}

// contextName is the context that counts; empty without one.
func (a *app) contextName(c contexts) string {
	switch {
	case a.context != "":
		return a.context
	case a.env("SERIN_CONTEXT") != "":
		return a.env("SERIN_CONTEXT")
	}
	return c.Current
}

func (a *app) completeContexts(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	c, err := readContexts(contextsFile(a.env))
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	return c.names(), cobra.ShellCompDirectiveNoFileComp
}
