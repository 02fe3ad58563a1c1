package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/serin-rollouts/serin/cmd/serin/show"
	"github.com/serin-rollouts/serin/internal/rollout"
	"github.com/serin-rollouts/serin/internal/specfile"
)

// checked is what `serin check` found in one file.
type checked struct {
	File    string        `json:"file"`
	OK      bool          `json:"ok"`
	Problem *problem      `json:"problem,omitempty"` // why it is not
	Spec    *rollout.Spec `json:"spec,omitempty"`    // what it means, with every default filled in
}

// problem is a mistake in a file. Line and Column count from 1.
type problem struct {
	Field   string `json:"field,omitempty"`
	Message string `json:"message"`
	Line    int    `json:"line,omitempty"`
	Column  int    `json:"column,omitempty"`
}

func newCheck(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "check FILE...",
		Short: "Check rollout files, without a coordinator",
		Long: "Check rollout files (- for standard input), without a coordinator. A mistake is shown with its\n" +
			"line. -o json prints one list, also for a single file: for each file {file, ok} and either\n" +
			"problem {field, message, line, column} or spec, what it means with every default filled in\n" +
			"(shares in basis points: 10000 is 100%; durations in nanoseconds).",
		Example: "  serin check rollout.yaml\n  serin check services/*.yaml\n" +
			"  serin check services/*.yaml -o json | jq -r '.[] | select(.ok | not).file'",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("%s takes at least one FILE", cmd.CommandPath())
			}
			return nil
		},
		ValidArgsFunction: completeFile,
		RunE:              func(_ *cobra.Command, args []string) error { return a.check(args) },
	}
}

// Private

func (a *app) check(files []string) error {
	all := make([]checked, 0, len(files))
	var services []string
	bad := &exit{code: exitOK}
	for _, file := range files {
		spec, _, err := a.readSpec(file, "")
		if err != nil {
			a.complain("%v", err)
			all = append(all, checked{File: file, Problem: problemOf(err)})
			bad.code = exitUsage
			continue
		}
		all = append(all, checked{File: file, OK: true, Spec: &spec})
		services = append(services, spec.Service)
	}
	err := a.print(all, func(out io.Writer, _ show.Options) error {
		for _, c := range all {
			if !c.OK {
				continue
			}
			if err := line(out, "%s: %s in %s, %s", c.File, c.Spec.Image, stepsOf(*c.Spec), c.Spec.Strategy); err != nil {
				return err
			}
		}
		return nil
	}, services)
	if err == nil && bad.code != exitOK {
		err = bad
	}
	return err
}

func stepsOf(s rollout.Spec) string {
	if s.Pace == rollout.AutoPace {
		return "steps at an automatic pace"
	}
	return fmt.Sprintf("%d steps", len(s.Steps))
}

// problemOf describes an error for programs: a line and a column in place of
// the text that has them in brackets.
func problemOf(err error) *problem {
	wrong, ok := errors.AsType[*specfile.Error](err)
	if !ok {
		return &problem{Message: err.Error()}
	}
	place := fmt.Sprintf("[%d:%d] ", wrong.Line, wrong.Column)
	return &problem{
		Field: wrong.Field, Message: strings.TrimPrefix(wrong.Message, place), Line: wrong.Line, Column: wrong.Column,
	}
}
