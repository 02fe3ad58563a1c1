package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/serin-rollouts/serin/cmd/serin/client"
	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/bus"
	"github.com/serin-rollouts/serin/internal/rollout"
	"github.com/serin-rollouts/serin/internal/specfile"
)

// The exit codes. Scripts depend on them.
const (
	exitOK          = 0
	exitUnexpected  = 1
	exitUsage       = 2
	exitRolledBack  = 3
	exitAborted     = 4
	exitTimeout     = 5
	exitPaused      = 6
	exitRefused     = 7
	exitNoLeader    = 8
	exitChanges     = 9
	exitInterrupted = 130
)

// meaning is what an exit code means.
type meaning struct {
	code int
	text string
}

// meanings has all exit codes, in their order.
func meanings() []meaning {
	return []meaning{
		{exitOK, "promoted, or the condition is met"},
		{exitUnexpected, "unexpected error; doctor: something is found"},
		{exitUsage, "wrong usage, an unknown name, or an invalid file"},
		{exitRolledBack, "rolled back by a gate or a failure"},
		{exitAborted, "aborted by a person"},
		{exitTimeout, "--timeout reached, the rollout goes on"},
		{exitPaused, "paused, waits for approval (wait --for done)"},
		{exitRefused, "refused: conflict, frozen, stale, not possible now"},
		{exitNoLeader, "no coordinator, no leader, or not permitted"},
		{exitChanges, "plan --exit-code: there is something to do"},
		{exitInterrupted, "interrupted; a rollout goes on"},
	}
}

// exitHelp lists the exit codes.
func exitHelp() string {
	var b strings.Builder
	b.WriteString("Exit codes:\n")
	for _, m := range meanings() {
		fmt.Fprintf(&b, "  %d  %s\n", m.code, m.text)
	}
	return b.String()
}

// exit is an error that has its own code. Its text is empty where complaints have
// said all.
type exit struct {
	code int
	text string
}

// Error renders the text.
func (e *exit) Error() string { return e.text }

func exitf(code int, format string, args ...any) error {
	return &exit{code: code, text: fmt.Sprintf(format, args...)}
}

// usagef is a mistake in the command line.
func usagef(format string, args ...any) error { return exitf(exitUsage, format, args...) }

// Private

// finish says what went wrong, with what to type next, and returns the code. No
// code but 0 goes without a word on standard error.
func (a *app) finish(command *cobra.Command, err error) int {
	code := a.conclude(command, err)
	if code != exitOK && !a.complained {
		a.complain("%s", meaningOf(code))
	}
	return code
}

func (a *app) conclude(command *cobra.Command, err error) int {
	if err == nil || errors.Is(err, errPrinted) {
		return exitOK
	}
	if !a.started { // cobra did not get as far as the command: its words or flags are wrong
		a.complain("%v", err)
		a.complain("`%s --help` shows how it is used", command.CommandPath())
		return exitUsage
	}
	code := codeOf(err)
	refusal, refused := errors.AsType[*rollout.Refusal](err)
	if a.structured() && !a.wrote && err.Error() != "" {
		if err := a.encode(replyOf(err)); err != nil {
			a.complain("%v", err)
		}
	}
	switch text := err.Error(); {
	case text == "" && refused:
		a.complain("%s", meaningOf(code))
	case text == "":
	case errors.Is(err, context.Canceled):
		a.complain("interrupted")
	case refused && !a.verbose:
		head, more, _ := strings.Cut(text, "\n")
		a.complain("%s", head)
		if more != "" {
			a.complain("-v and -o json tell more")
		}
	default:
		a.complainOf(err)
	}
	if refused {
		if next := nextStep(refusal); next != "" {
			a.complain("%s", next)
		}
	}
	return code
}

func meaningOf(code int) string {
	for _, m := range meanings() {
		if m.code == code {
			return m.text
		}
	}
	return fmt.Sprintf("unexpected exit code %d", code)
}

// replyOf is an error for programs: what the coordinator refused, or what went
// wrong before it could, in the same form.
func replyOf(err error) api.Reply {
	if r, ok := errors.AsType[*rollout.Refusal](err); ok {
		return api.Refused(r)
	}
	if p := problemOf(err); p.Field != "" {
		return api.Reply{Code: rollout.CodeInvalid, Field: p.Field, Message: p.Message}
	}
	r := api.Reply{Message: err.Error()}
	switch codeOf(err) {
	case exitUsage:
		r.Code = rollout.CodeInvalid
	case exitNoLeader:
		r.Code = rollout.CodeBusy
	}
	return r
}

func codeOf(err error) int {
	if e, ok := errors.AsType[*exit](err); ok {
		return e.code
	}
	if r, ok := errors.AsType[*rollout.Refusal](err); ok {
		return codeOfRefusal(r.Code)
	}
	if _, ok := errors.AsType[*client.Unreachable](err); ok {
		return exitNoLeader
	}
	if _, ok := errors.AsType[*specfile.Error](err); ok {
		return exitUsage
	}
	switch {
	case errors.Is(err, context.Canceled):
		return exitInterrupted
	case errors.Is(err, bus.ErrNoStream), errors.Is(err, bus.ErrNoJetStream), errors.Is(err, bus.ErrNotConnected):
		return exitNoLeader
	case errors.Is(err, bus.ErrToken):
		return exitUsage
	}
	return exitUnexpected
}

func codeOfRefusal(code rollout.Code) int {
	switch code {
	case rollout.CodeInvalid, rollout.CodeUnknown:
		return exitUsage
	case rollout.CodeBusy:
		return exitNoLeader
	default: // conflict, stale, ..., and those of a later release
		return exitRefused
	}
}

// nextStep says what to type after a refusal.
func nextStep(r *rollout.Refusal) string {
	switch r.Code {
	case rollout.CodeConflict:
		if r.Rollout == "" { // with the replicas as they are
			return "next: `serin cluster status`"
		}
		return fmt.Sprintf("next: `serin watch %s`, `serin abort %s`, or start with --replace", r.Rollout, r.Rollout)
	case rollout.CodeStale:
		return "next: `serin status`, and decide anew"
	case rollout.CodeUnknown:
		if r.Field == "id" { // of a replica
			return "next: `serin cluster status`"
		}
		return "next: `serin status` lists the services, `serin hosts` the hosts"
	case rollout.CodeFrozen:
		return "next: `serin status` shows the freeze; a person goes through with --override-freeze --reason"
	case rollout.CodePhase:
		if r.Rollout != "" {
			return "next: `serin explain " + r.Rollout + "`"
		}
	case rollout.CodeImage:
		return "next: check the name of the image, and that the hosts may pull it"
	case rollout.CodeBusy:
		return "next: `serin cluster status` and `serin hosts`"
	default: // the message names the field
	}
	return ""
}
