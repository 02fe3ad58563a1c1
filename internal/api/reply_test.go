package api_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// An answer that does not say whether it is OK is nobody's refusal.
func TestDecodeReplyKnowsItsOwn(t *testing.T) {
	for text, want := range map[string]string{
		`{"ok":true,"rollout":"a-1","later":1}`:                  "",
		`{"ok":false,"code":"conflict"}`:                         "",
		`{"stream":"SERIN_TRIGGERS", "seq":8,"duplicate": true}`: `there is no "ok" in it`,
		`{"ok":null}`:              `there is no "ok" in it`,
		`null`:                     `there is no "ok" in it`,
		`{}`:                       `"{}"`,
		`[]`:                       "array",
		``:                         "unexpected end",
		`{"ok":"yes"}`:             "string",
		`{"ok":true,"rollout":1}`:  "rollout",
		strings.Repeat("long", 99): "longlong",
	} {
		_, err := api.DecodeReply([]byte(text))
		if (err == nil) != (want == "") || errors.Is(err, api.ErrForeign) != (want != "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
		if err != nil && len(err.Error()) > 400 {
			t.Errorf("%s: %d bytes of error", text, len(err.Error()))
		}
		if _, err := api.DecodeAnswer[int]([]byte(text)); errors.Is(err, api.ErrForeign) != (want != "") {
			t.Errorf("%s: %v", text, err)
		}
	}
	refused, ok := errors.AsType[*rollout.Refusal](func() error {
		_, err := api.DecodeAnswer[int]([]byte(`{"ok":false,"code":"unknown"}`))
		return err
	}())
	if n, err := api.DecodeAnswer[int]([]byte(`{"ok":true,"data":7}`)); n != 7 || err != nil || !ok || refused.Code != rollout.CodeUnknown {
		t.Errorf("%d, %v, %v", n, err, refused)
	}
}
