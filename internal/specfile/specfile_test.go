package specfile

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
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

// TestMistakes runs what a user gets wrong at once: each is told, none that only
// follows from another.
func TestMistakes(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"none": {"service: web\nimage: web:1\ncontainer: {port: 80}\n", nil},
		"keys, units and values": {
			"service: Web\nimgae: web:1\ncontainer:\n  port: 99999\n  stop_grace: 5\nsteps:\n  - {weight: 5}\n  - {wieght: 10%}\n  - {}\n" +
				"gates:\n  errors: {max_increase: 200%}\n  latency:\n    - {quantile: fast}\n  alpha: 99%\ndeadline: soon\n",
			[]string{
				`1:10: service: "Web" is not usable`, `2:1: unknown field "imgae"`, "4:9: container.port: is 99999", "5:15: 5 is no duration",
				"7:14: 5 is no share", `8:6: unknown field "wieght"`, "11:26: gates.errors.max_increase: is 200%", "13:18: fast is no quantile",
				"14:10: gates.alpha: is 99%", "15:11: soon is no duration", "0:0: image: is missing",
			},
		},
		"what follows from others is not told": {
			"service: web\nimage: web:1\ncontainer: 80\nsteps: [{weight: 50}, {weight: 5%}]\ngates: {one_host: maybe}\n",
			[]string{"3:12: ", "4:18: 50 is no share", "5:19: gates.one_host"},
		},
		"no YAML":      {"service: [\n", []string{"1:10: "}},
		"not a map":    {"- service\n", []string{"1:1: "}},
		"empty":        {"", []string{"0:0: the file is empty"}},
		"nothing else": {"{}\n", []string{"0:0: service: is missing", "0:0: image: is missing", "0:0: container.port: is missing"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := Mistakes([]byte(c.text))
			if len(got) != len(c.want) {
				t.Errorf("%d mistakes, want %d", len(got), len(c.want))
			}
			for k, e := range got {
				said := fmt.Sprintf("%d:%d: ", e.Line, e.Column)
				if e.Field != "" {
					said += e.Field + ": "
				}
				said += strings.TrimPrefix(e.Message, fmt.Sprintf("[%d:%d] ", e.Line, e.Column))
				if k >= len(c.want) || !strings.HasPrefix(said, c.want[k]) {
					t.Errorf("mistake %d: %s", k, said)
				}
			}
		})
	}
}

// FuzzMistakes wants the same answer as Parse, whether there is a mistake, and an
// end.
func FuzzMistakes(f *testing.F) {
	for _, seed := range []string{"steps: [{weight: 5}, 7]\ncontainer: 1\n", "a: {b: [c, {d: 1}]}\n", "service: &x web\nimage: *x\n", "? a\n: b\n", "<<: {service: web}\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, source []byte) {
		_, err := Parse(source)
		if got := Mistakes(source); (err == nil) != (len(got) == 0) {
			t.Errorf("%d mistakes, and Parse says %v", len(got), err)
		}
	})
}
