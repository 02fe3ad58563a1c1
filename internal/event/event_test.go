package event_test

import (
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-rollouts/serin/internal/analysis"
	"github.com/serin-rollouts/serin/internal/event"
	"github.com/serin-rollouts/serin/internal/rollout"
)

func examples() map[string]rollout.Event {
	return map[string]rollout.Event{
		"step": {
			Seq: 12, Index: 34, Wall: 1_795_391_802_815, Kind: rollout.KindStep, Service: "checkout", Rollout: "checkout-7",
			Phase: rollout.Progressing, From: "1.3.2", To: "1.4.0", Image: "shop/checkout@sha256:abc",
			Step: 2, Steps: 4, Hosts: 3, Fleet: 12, Weight: 2500, By: "serin", Text: "step 2 of 4: 25% on 3 of 12 hosts",
		},
		"rolledback": {
			Seq: 4711, Index: 5000, Wall: 1_795_391_802_000, Kind: rollout.KindRolledBack, Service: "checkout", Rollout: "checkout-7",
			Phase: rollout.RolledBack, Cause: rollout.CauseGate, By: "serin", Text: "rolled back: 5xx <2.31%> & more",
			Blame: []string{"web-01"}, Lost: []string{"web-09"}, ZeroMillis: 180,
			Verdict: &analysis.Verdict{
				Outcome: analysis.Fail, At: 94 * time.Second, Gate: "errors", Reason: "5xx 2.31% on canary",
				Canary: analysis.Counts{Requests: 2468, Errors: 57}, Stable: analysis.Counts{Requests: 24630, Errors: 101},
				Findings: []analysis.Finding{{
					Gate: "errors", Outcome: analysis.Fail, At: 94 * time.Second,
					Canary: analysis.Counts{Requests: 2468, Errors: 57}, Stable: analysis.Counts{Requests: 24630, Errors: 101},
					CanaryPPM: 23096, StablePPM: 4101, MaxIncrease: 50, Windows: 30, Hosts: 3, Odds: 5000, OddsLow: 2000, OddsHigh: 20000,
					Worse: 9000, Beyond: 6000, FailLimit: 4605, Safe: -1, SafeLimit: 2996, Reason: "5xx 2.31% on canary",
				}},
			},
		},
		"refused": {
			Seq: 1, Index: 1, Wall: 0, Kind: rollout.KindRefused, Service: "checkout", By: "trigger", Key: "id:checkout:9",
			Text:    "image: manifest unknown",
			Refusal: &rollout.Refusal{Code: rollout.CodeImage, Field: "image", Message: "manifest unknown"},
		},
	}
}

// The bytes are what observers depend on. With SERIN_UPDATE=1 they are written
// anew; look at the difference.
func TestGolden(t *testing.T) {
	for name, e := range examples() {
		got, err := event.Encode(event.Source(""), e)
		if err != nil {
			t.Fatal(err)
		}
		again, err := event.Encode(event.Source(""), e)
		if err != nil || string(again) != string(got) {
			t.Errorf("%s: two encodings differ: %v", name, err)
		}
		path := filepath.Join("testdata", name+".json")
		if os.Getenv("SERIN_UPDATE") != "" {
			if err := os.WriteFile(path, append(got, '\n'), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), string(got)+"\n"); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		back, err := event.Decode(got)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(e, back); diff != "" {
			t.Errorf("%s does not come back (-want +got):\n%s", name, diff)
		}
	}
}

func TestEveryFieldOfAVerdictTravels(t *testing.T) {
	var v analysis.Verdict
	fill(reflect.ValueOf(&v).Elem())
	e := rollout.Event{Seq: 1, Kind: rollout.KindStep, Service: "a", Rollout: "a-1", Verdict: &v}
	data, err := event.Encode(event.Source("east"), e)
	if err != nil {
		t.Fatal(err)
	}
	back, err := event.Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(e, back); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// fill puts something into every field, whatever it holds.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for _, f := range v.Fields() {
			fill(f)
		}
	case reflect.String:
		v.SetString("text")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0))
	case reflect.Array:
		for k := range v.Len() {
			fill(v.Index(k))
		}
	case reflect.Map:
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(key)
		fill(value)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, value)
	default:
		v.SetInt(1)
	}
}

func TestDecodeRefusesWhatIsForeign(t *testing.T) {
	good, err := event.Encode(event.Source(""), examples()["step"])
	if err != nil {
		t.Fatal(err)
	}
	var object map[string]any
	if err := json.Unmarshal(good, &object); err != nil {
		t.Fatal(err)
	}
	change := func(key string, value any) []byte {
		changed := maps.Clone(object)
		changed[key] = value
		data, err := json.Marshal(changed)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	for name, data := range map[string][]byte{
		"nothing": nil, "text": []byte("hello"), "other json": []byte(`{"a":1}`),
		"other type": change("type", "com.example.pushed"), "other id": change("id", "13"),
	} {
		if _, err := event.Decode(data); !errors.Is(err, event.ErrForeign) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
