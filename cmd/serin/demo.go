package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/serin-rollouts/serin/internal/demo"
	"github.com/serin-rollouts/serin/internal/localfleet"
)

func newDemo(a *app) *cobra.Command {
	o := demo.Options{Out: a.out, Err: a.err}
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show a good and a bad rollout on this machine, with real Docker and HAProxy",
		Long: "Show the main job on this machine, with real parts: coordinator replicas, agents with a HAProxy\n" +
			"each, real containers, and load. A good version is rolled out, then a bad one, which goes back.\n" +
			"Everything that it makes is removed at the end, also after Ctrl-C (exit code 130). It needs Docker,\n" +
			"HAProxy, and serin-coordinator and serin-agent beside this program.\n\n" +
			"--scenario chooses what is shown, in that order:\n" +
			"  good   v2, which is as good as v1, is promoted; with --repeat, v1 and v2 take turns\n" +
			"  bad    v3 answers 5 % of its requests with 500; the errors gate takes it back\n" +
			"  slow   v4 answers all of them, but its p99 is 30 % slower; the latency gate takes it back\n" +
			"  leak   v5 answers as v1 does, but loses memory; the saturation gate takes it back\n\n" +
			"With -o json what came out is one document on standard output, and progress is on standard\n" +
			"error. It exits with 1 if a good version was not promoted, another not taken back by its gate, or\n" +
			"a request failed.",
		Example: "  serin demo\n  serin demo -o json | jq .bad.rollback_ms\n  serin demo --report report.json\n" +
			"  serin demo --scenario slow,leak\n  serin demo --scenario good --repeat 20\n  serin demo --hosts 5 --keep",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.Validate(); err != nil {
				return usagef("%v", err)
			}
			if a.output == "name" {
				return usagef("-o name: a demo leaves nothing that has a name; use table, json or yaml")
			}
			if a.structured() {
				o.Result = a.encode
			}
			o.Live, o.Quiet = a.terminal(a.out), a.quiet
			return demo.Run(cmd.Context(), o)
		},
	}
	const three = 3
	f := cmd.Flags()
	f.StringVar(&o.Report, "report", "", "write what came out as JSON to this `file`")
	f.BoolVar(&o.Keep, "keep", false, "leave the fleet running at the end, to play with")
	f.IntVar(&o.Hosts, "hosts", three, "how many agents")
	f.IntVar(&o.Replicas, "replicas", three, "how many replicas of the coordinator: 1, 3 or 5")
	f.StringSliceVar(&o.Scenarios, "scenario", []string{demo.Good, demo.Bad}, "what is shown: some of "+strings.Join(demo.Scenarios(), ","))
	f.IntVar(&o.Repeat, "repeat", 1, "how often the good one is shown, on two services at once if more than once")
	cmd.AddCommand(newDemoApp(), newDemoRegistry(), newDemoSweep(a))
	return cmd
}

// Private

// The parts of the demo that run as processes of their own.

func newDemoApp() *cobra.Command {
	var v localfleet.Version
	cmd := &cobra.Command{
		Use:    "app",
		Short:  "The small web app that the demo rolls out",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return localfleet.App(cmd.Context(), v)
		},
	}
	f := cmd.Flags()
	f.StringVar(&v.Tag, "version", "", "what it says that it is")
	f.Float64Var(&v.ErrorPercent, "error-percent", 0, "how many of its answers are errors")
	f.StringVar(&v.BadAt, "bad-at", "", "host all of whose requests it answers with errors")
	f.Float64Var(&v.SlowPercent, "slow-percent", 0, "by how much its slow path is slower")
	f.IntVar(&v.LeakMiB, "leak-mib", 0, "how much memory it loses in a second")
	f.Float64Var(&v.FailedPercent, "failed-percent", 0, "how many of its orders fail")
	f.IntVar(&v.Queue, "queue", 0, "how many of its orders wait more than in others")
	f.IntVar(&v.Lag, "lag", 0, "by how many seconds its payments are late")
	f.BoolVar(&v.Unwell, "unwell", false, "whether its self-check fails")
	f.IntVar(&v.DiesAt, "dies-at", 0, "the request at which it exits")
	f.BoolVar(&v.Hangs, "hangs", false, "whether it answers no request")
	f.DurationVar(&v.Late, "late", 0, "by how much all of its answers are late")
	f.BoolVar(&v.Abrupt, "abrupt", false, "whether it exits at SIGTERM at once")
	f.BoolVar(&v.Deaf, "deaf", false, "whether it does not hear SIGTERM")
	return cmd
}

func newDemoRegistry() *cobra.Command {
	var listen, dir string
	cmd := &cobra.Command{
		Use:    "registry",
		Short:  "The image registry that the demo's hosts pull from",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return localfleet.Registry(cmd.Context(), listen, dir)
		},
	}
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:0", "its address, on loopback")
	cmd.Flags().StringVar(&dir, "dir", "", "where it keeps layers; in memory if empty")
	return cmd
}

func newDemoSweep(a *app) *cobra.Command {
	var dir, images string
	var hosts []string
	cmd := &cobra.Command{
		Use:    "sweep",
		Short:  "Remove all of a demo once standard input ends",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return localfleet.Sweep(cmd.Context(), a.in, dir, hosts, images)
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "", "the demo's directory")
	cmd.Flags().StringVar(&images, "images", "", "the repository of the demo's images")
	cmd.Flags().StringArrayVar(&hosts, "host", nil, "a host of the demo")
	return cmd
}
