package main

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/spf13/cobra"

	"github.com/serin-rollouts/serin/cmd/serin/client"
	"github.com/serin-rollouts/serin/internal/rollout"
	"github.com/serin-rollouts/serin/internal/specfile"
)

// No error ends without a word on standard error, however little it says itself.
func TestNoExitIsSilent(t *testing.T) {
	silent := []error{
		errors.New(""), fmt.Errorf("%w", errors.New("")), errors.Join(errors.New("")),
		&rollout.Refusal{}, fmt.Errorf("%w", &rollout.Refusal{}), &faulty{}, &specfile.Error{}, &client.Unreachable{},
		&exit{code: -1},
	}
	for _, m := range meanings()[1:] {
		silent = append(silent, &exit{code: m.code})
	}
	for _, code := range []rollout.Code{
		"", rollout.CodeInvalid, rollout.CodeUnchanged, rollout.CodeConflict, rollout.CodeStale, rollout.CodeUnknown,
		rollout.CodePhase, rollout.CodeImage, rollout.CodeBusy, rollout.CodeFrozen, "later",
	} {
		silent = append(silent, &rollout.Refusal{Code: code})
	}
	for _, err := range silent {
		for _, a := range []app{{}, {output: "json"}, {quiet: true}, {verbose: true}, {output: "yaml", wrote: true}} {
			for _, started := range []bool{false, true} {
				var out, talk bytes.Buffer
				a.started, a.complained, a.streams = started, false, streams{out: &out, err: &talk}
				if code := a.finish(&cobra.Command{}, err); code == exitOK || len(bytes.TrimPrefix(bytes.TrimSpace(talk.Bytes()), []byte("serin:"))) == 0 {
					t.Errorf("%T %+v with %+v: exit code %d, %q on standard error", err, err, a, code, talk.String())
				}
			}
		}
	}
}
