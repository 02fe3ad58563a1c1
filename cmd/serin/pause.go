package main

import "github.com/spf13/cobra"

func newPause(a *app) *cobra.Command {
	s := &steering{app: a, verb: "pause", done: always("is paused; a canary that turns bad still goes back")}
	return s.command(&cobra.Command{
		Short:   "Hold a rollout at its step",
		Long:    "Hold a rollout at its step. The gates watch on: a canary that turns bad still goes back.",
		Example: "  serin pause checkout --reason 'lunch'",
	})
}

func newResume(a *app) *cobra.Command {
	s := &steering{app: a, verb: "resume", done: always("goes on")}
	return s.command(&cobra.Command{
		Short:   "Let a paused rollout go on",
		Example: "  serin resume checkout",
	})
}
