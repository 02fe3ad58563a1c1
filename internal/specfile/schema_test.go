package specfile

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// schema compiles the schema with a library that knows nothing of ours.
func schema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	text, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource(SchemaID, document); err != nil {
		t.Fatal(err)
	}
	compiled, err := compiler.Compile(SchemaID)
	if err != nil {
		t.Fatal(err)
	}
	return compiled
}

// validate checks the text of a file, as an editor does.
func validate(t *testing.T, s *jsonschema.Schema, text string) error {
	t.Helper()
	data, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return s.Validate(document)
}

// TestSchemaTakesWhatIsTaken: every file that Parse takes is one by the schema.
func TestSchemaTakesWhatIsTaken(t *testing.T) {
	s, seen := schema(t), 0
	take := func(t *testing.T, text string) {
		t.Helper()
		if _, err := Parse([]byte(text)); err != nil {
			return
		}
		seen++
		if err := validate(t, s, text); err != nil {
			t.Errorf("%v\n%s", err, text)
		}
	}
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			t.Helper()
			text := d.Input
			if d.Cmd == "gates" {
				text = "service: web\nimage: web:1\ncontainer: {port: 80}\n" + text
			}
			take(t, text)
			return d.Expected
		})
	})
	for _, file := range []string{"../../cmd/serin/templates/rollout.yaml", "../../deploy/examples/gates.yaml"} {
		text, err := os.ReadFile(filepath.FromSlash(file))
		if err != nil {
			t.Fatal(err)
		}
		take(t, string(text))
	}
	if seen < 10 {
		t.Errorf("only %d files were taken", seen)
	}
}

// TestSchemaRefuses: what an editor has to underline.
func TestSchemaRefuses(t *testing.T) {
	s := schema(t)
	const head = "service: web\nimage: web:1\n"
	for text, where := range map[string]string{
		"image: web:1\ncontainer: {port: 80}\n":                                          "service",
		head:                                                                             "container",
		head + "container: {memory: 1g}\n":                                               "port",
		head + "container: {port: 80}\nstepz: []\n":                                      "stepz",
		head + "container: {port: eighty}\n":                                             "/container/port",
		head + "container: {port: 80}\nstrategy: blue\n":                                 "/strategy",
		head + "container: {port: 80}\nsteps: [{weight: 5}]\n":                           "/steps/0/weight",
		head + "container: {port: 80}\nsteps: [{hold: 5 minutes}]\n":                     "/steps/0/hold",
		head + "container: {port: 80}\ngates: {errors: {max_incraese: 1%}}\n":            "max_incraese",
		head + "container: {port: 80}\ngates: {latency: [{quantile: 99}]}\n":             "/gates/latency/0/quantile",
		head + "container: {port: 80}\ngates: {checks: [{path: /a, on_silence: shout}]}": "/gates/checks/0/on_silence",
	} {
		if err := validate(t, s, text); err == nil || !strings.Contains(err.Error(), where) {
			t.Errorf("%q: %v, want %s", text, err, where)
		}
		if _, err := Parse([]byte(text)); err == nil {
			t.Errorf("%q: Parse takes it", text)
		}
	}
}

// TestKeysAreExplained: the reference says something of every key.
func TestKeysAreExplained(t *testing.T) {
	keys := Keys()
	if len(keys) < 70 {
		t.Errorf("there are %d keys", len(keys))
	}
	for _, k := range keys {
		if k.Doc == "" || k.Type == "" {
			t.Errorf("%+v", k)
		}
	}
}

// TestKeysTellWhatStandsForThem: each key says what holds where it is left out, but for those that are
// needed, or are how a gate says what it looks at.
func TestKeysTellWhatStandsForThem(t *testing.T) {
	without := map[string]bool{"service": true, "image": true, "container": true, "container.port": true}
	for gate, keys := range map[string]string{"metrics": "when bad read", "prometheus": "when address queries", "checks": "when path url"} {
		for key := range strings.FieldsSeq(keys) {
			without["gates."+gate+"[]."+key] = true
		}
	}
	tells := regexp.MustCompile(`left out|default|else tcp|if neither is given|needed`)
	for _, k := range Keys() {
		if tells.MatchString(k.Doc) == without[k.Name] {
			t.Errorf("%s: %q, and the key is one of those that need not tell: %t", k.Name, k.Doc, without[k.Name])
		}
	}
}
