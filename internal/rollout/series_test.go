package rollout_test

import (
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/serin-rollouts/serin/internal/rollout"
)

func TestParseSeries(t *testing.T) {
	for text, want := range map[string]rollout.Series{
		"up":                   {Name: "up"},
		" a:b_total ":          {Name: "a:b_total"},
		"up{}":                 {Name: "up"},
		`up {a="b"}`:           {Name: "up", Labels: map[string]string{"a": "b"}},
		`up{ a = "b" , c="",}`: {Name: "up", Labels: map[string]string{"a": "b", "c": ""}},
		`up{a="}, \"\\\n"}`:    {Name: "up", Labels: map[string]string{"a": "}, \"\\\n"}},
	} {
		got, err := rollout.ParseSeries(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", text, diff)
		}
	}
	for text, want := range map[string]string{
		"":                "name of a metric",
		"5xx":             "name of a metric",
		"up down":         "goes on",
		`up{a="b"`:        "goes on",
		`up{a="b"} 5`:     "goes on",
		`up{a=~"b"}`:      "other comparisons",
		`up{a=b}`:         "is no label",
		`up{="b"}`:        "is no label",
		`up{a:b="c"}`:     "is no label",
		`up{a="b}`:        "does not end",
		`up{a="\t"}`:      "escape",
		`up{a="b" c="d"}`: "comma",
		`up{a="b",a="c"}`: "twice",
		`up{,}`:           "is no label",
		"up{" + strings.Repeat(`a="b",`, 20) + "}": "twice",
	} {
		if _, err := rollout.ParseSeries(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want something on %q", text, err, want)
		}
	}
}

// TestSeriesMatch writes down any selector, and reads it again as it was.
func TestSeriesMatch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringMatching(`[a-zA-Z_:][a-zA-Z0-9_:]{0,9}`)
		label := rapid.StringMatching(`[a-zA-Z_][a-zA-Z0-9_]{0,9}`)
		want := rollout.Series{Name: name.Draw(t, "name"), Labels: rapid.MapOfN(label, rapid.String(), 1, 5).Draw(t, "labels")}
		var labels []string
		for k, v := range want.Labels {
			labels = append(labels, k+`="`+strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(v)+`"`)
		}
		got, err := rollout.ParseSeries(want.Name + "{" + strings.Join(labels, ", ") + "}")
		if err != nil || !cmp.Equal(want, got) {
			t.Fatalf("%v, %v: %s", got, err, cmp.Diff(want, got))
		}
		with := map[string]string{"and others": ""}
		maps.Copy(with, want.Labels)
		if !got.Matches(want.Name, with) || got.Matches(want.Name+"x", with) {
			t.Error("the selector does not select what it is of, or something else")
		}
		for k := range want.Labels {
			with[k] += "x"
			if got.Matches(want.Name, with) {
				t.Errorf("another value of %s is selected", k)
			}
			break
		}
	})
}
