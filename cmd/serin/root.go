package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// Groups of commands in the help.
const (
	groupRoll = "roll"
	groupLook = "look"
	groupMake = "make"
)

const rootExample = `  serin init                           # writes rollout.yaml
  serin plan rollout.yaml              # what would happen
  serin start rollout.yaml             # starts, follows, exits with the verdict
  serin watch checkout
  serin explain checkout               # why it waits, went on or went back
  serin rollback checkout
  serin demo                           # all of it on this machine, with real Docker and HAProxy`

// newRoot builds the command tree.
func newRoot(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   "serin",
		Short: "Roll container versions out over Docker hosts, and take bad ones back",
		Long: "Roll container versions out over Docker hosts, and take bad ones back.\n\n" +
			"Rollouts are called checkout-7. Where a ROLLOUT is wanted, a SERVICE means its running or last one.\n\n" + exitHelp(),
		Example:           rootExample,
		SilenceErrors:     true,
		SilenceUsage:      true,
		Args:              cobra.NoArgs,
		RunE:              func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		PersistentPreRunE: func(*cobra.Command, []string) error { return a.start() },
	}
	a.globalFlags(root)
	root.AddGroup(
		&cobra.Group{ID: groupRoll, Title: "Roll out:"},
		&cobra.Group{ID: groupLook, Title: "Look:"},
		&cobra.Group{ID: groupMake, Title: "Prepare and run:"},
	)
	add := func(group string, commands ...*cobra.Command) {
		for _, c := range commands {
			c.GroupID = group
			root.AddCommand(c)
		}
	}
	add(groupRoll, newStart(a), newWatch(a), newWait(a), newPromote(a), newPause(a), newResume(a), newAbort(a), newRollback(a), newRelease(a), newFreeze(a), newThaw(a))
	add(groupLook, newStatus(a), newTop(a), newExplain(a), newEvents(a), newHistory(a), newDiff(a), newHosts(a), newDoctor(a), newNotify(a), newAnalyze(a))
	add(groupMake, newInit(a), newCheck(a), newSchema(a), newPlan(a), newDemo(a), newCluster(a), newContext(a), newVersion(a))
	root.AddCommand(references(a)...)
	root.SetHelpCommandGroupID(groupMake)
	root.SetCompletionCommandGroupID(groupMake)
	return root
}

// Private

func (a *app) globalFlags(root *cobra.Command) {
	f := root.PersistentFlags()
	f.SortFlags = false
	f.StringVarP(&a.output, "output", "o", "table", "table, wide, json, yaml or name")
	f.StringVar(&a.context, "context", "", "`name` in contexts.yaml of the fleet that is meant (env SERIN_CONTEXT), see serin context")
	a.define(f)
	f.DurationVar(&a.timeout, "timeout", 0, "end after this time; if not given, 10s for an answer, and no end for following")
	f.BoolVarP(&a.quiet, "quiet", "q", false, "no remarks, only results")
	f.BoolVarP(&a.verbose, "verbose", "v", false, "the connection's story on standard error")
	f.BoolVar(&a.noColor, "no-color", false, "no colour (also NO_COLOR; CLICOLOR_FORCE for the contrary)")
	f.BoolVar(&a.noInput, "no-input", false, "never ask")
	f.BoolVarP(&a.yes, "yes", "y", false, "do not ask whether it is meant")
	fixed := []string{"table", "wide", "json", "yaml", "name"}
	_ = root.RegisterFlagCompletionFunc("context", a.completeContexts)                                               // likewise
	_ = root.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(fixed, cobra.ShellCompDirectiveNoFileComp)) // the flag exists
}

// start runs before every command, when words and flags are in order.
func (a *app) start() error {
	if err := a.begin(); err != nil {
		return err
	}
	return a.printConfig()
}

// begin is start for commands that need no settings.
func (a *app) begin() error {
	a.started = true
	if !slices.Contains([]string{"table", "wide", "json", "yaml", "name"}, a.output) {
		return usagef("-o %s: use table, wide, json, yaml or name", a.output)
	}
	if a.timeout < 0 {
		return usagef("--timeout %s: is negative", a.timeout)
	}
	return nil
}

// changing adds the flags of every command that changes something.
func (a *app) changing(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().BoolVar(&a.dryRun, "dry-run", false, "say what would be done, and do nothing")
	cmd.Flags().StringVar(&a.reason, "reason", "", "why, for the record")
	cmd.Flags().StringVar(&a.person, "by", "", "who asks, for the record (env SERIN_BY; else the user's name)")
	return cmd
}

// oneOf is the argument check of commands that take one name.
func oneOf(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != 1 {
			return usagef("%s takes one %s, not %d arguments", cmd.CommandPath(), what, len(args))
		}
		return nil
	}
}

// atMostOne is the argument check of commands that take a name or none.
func atMostOne(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > 1 {
			return usagef("%s takes at most one %s, not %s", cmd.CommandPath(), what, strings.Join(args, " "))
		}
		return nil
	}
}
