package specfile

import (
	"encoding/json"
	"errors"
	"os"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/google/go-cmp/cmp"

	"github.com/serin-rollouts/serin/internal/rollout"
)

// TestParse runs the transcripts in testdata: what a user writes, and what the
// parser makes of it, mistakes with line and caret included. With gates the
// file has a head already, and only its gates and its pace are shown.
func TestParse(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			t.Helper()
			text, shown := d.Input, func(s rollout.Spec) any { return s }
			if d.Cmd == "gates" {
				text = "service: web\nimage: web:1\ncontainer: {port: 80}\n" + text
				shown = func(s rollout.Spec) any { return gatesAndPace{s.Pace, s.Auto, s.Gates} }
			}
			spec, err := Parse([]byte(text))
			if err != nil {
				return err.Error() + "\n"
			}
			out, err := json.MarshalIndent(shown(spec), "", " ")
			if err != nil {
				t.Fatal(err)
			}
			return string(out) + "\n"
		})
	})
}

type gatesAndPace struct {
	Pace  rollout.Pace  `json:"pace"`
	Auto  *rollout.Auto `json:"auto,omitempty"`
	Gates rollout.Gates `json:"gates"`
}

func TestMistakesHaveAPlace(t *testing.T) {
	const head = "service: web\nimage: web:1\n"
	for text, want := range map[string][2]int{
		head + "container: {port: 80}\nstepz: []\n":                  {4, 1},
		head + "container: {port: 80}\ndeadline: 5\n":                {4, 11},
		head + "container: {port: 80}\nsteps:\n  - {weight: 101%}\n": {5, 14},
		head + "container: {port: 80\n":                              {3, 12},
		"service: web\ncontainer: {port: 80}\n":                      {0, 0}, // it is what is not there
		"":                                                           {0, 0},
	} {
		_, err := Parse([]byte(text))
		wrong, ok := errors.AsType[*Error](err)
		if !ok {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if got := [2]int{wrong.Line, wrong.Column}; got != want {
			t.Errorf("%q: at %v, want %v: %v", text, got, want, err)
		}
	}
}

// TestJSONIsYAML shows that a trigger may carry the spec as JSON.
func TestJSONIsYAML(t *testing.T) {
	fromYAML, err := Parse([]byte("service: web\nimage: web:1\ncontainer: {port: 80}\nsteps: [{weight: 10%}, {}]\n" +
		"gates: {latency: {quantile: p50}, checks: [{name: up, path: /up, required: false, every: 10s}], saturation: off}\n"))
	if err != nil {
		t.Fatal(err)
	}
	fromJSON, err := Parse([]byte(`{"service":"web","image":"web:1","container":{"port":80},"steps":[{"weight":"10%"},{}],
		"gates":{"latency":[{"quantile":"p50"}],"checks":[{"name":"up","path":"/up","required":false,"every":"10s"}],"saturation":false}}`))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(fromYAML, fromJSON); diff != "" {
		t.Error(diff)
	}
}

// FuzzParse wants an answer, not a panic, whatever the bytes.
func FuzzParse(f *testing.F) {
	for _, name := range []string{"testdata/good.txt", "testdata/bad.txt", "testdata/gates.txt"} {
		seed, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, source []byte) {
		spec, err := Parse(source)
		if err != nil {
			return
		}
		if problem := spec.Validate(); problem != nil {
			t.Errorf("parsed, yet not valid: %v", problem)
		}
	})
}
