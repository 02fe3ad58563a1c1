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
	File     string        `json:"file"`
	OK       bool          `json:"ok"`
	Problems []problem     `json:"problems,omitempty"` // why it is not
	Spec     *rollout.Spec `json:"spec,omitempty"`     // what it means, with every default filled in
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
		Long: "Check rollout files (- for standard input), without a coordinator. Every mistake is shown with its\n" +
			"line, but for those that only follow from another one. -o json prints one list, also for a single\n" +
			"file: for each file {file, ok} and either problems [{field, message, line, column}] or spec, what\n" +
			"it means with every default filled in (shares in basis points: 10000 is 100%; durations in\n" +
			"nanoseconds).",
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
			a.complainOf(err)
			all = append(all, checked{File: file, Problems: problemsOf(err)})
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

// faulty is a rollout file with mistakes.
type faulty struct {
	file     string
	mistakes []*specfile.Error
}

// Error tells all mistakes.
func (f *faulty) Error() string { return strings.Join(f.told(), "\n") }

// Unwrap returns them.
func (f *faulty) Unwrap() []error {
	var all []error
	for _, e := range f.mistakes {
		all = append(all, e)
	}
	return all
}

// told are the mistakes, each behind the file's name.
func (f *faulty) told() []string {
	var all []string
	for _, e := range f.mistakes {
		all = append(all, fmt.Sprintf("%s: %v", f.file, e))
	}
	return all
}

// complainOf says what is wrong, each mistake of a file by itself.
func (a *app) complainOf(err error) {
	f, ok := errors.AsType[*faulty](err)
	if !ok {
		a.complain("%v", err)
		return
	}
	for _, text := range f.told() {
		a.complain("%s", text)
	}
}

// problemsOf describes an error for programs: each mistake of a file, or the one
// that it is.
func problemsOf(err error) []problem {
	f, ok := errors.AsType[*faulty](err)
	if !ok {
		return []problem{*problemOf(err)}
	}
	var all []problem
	for _, e := range f.mistakes {
		all = append(all, *problemOf(e))
	}
	return all
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
