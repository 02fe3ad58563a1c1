package event_test

import (
	"bytes"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/serin-rollouts/serin/internal/event"
)

// TestSchemaTakesEvents: a library that knows nothing of ours takes every example
// by the schema, and none that has lost or changed something.
func TestSchemaTakesEvents(t *testing.T) {
	text, err := event.Schema()
	if err != nil {
		t.Fatal(err)
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	if err := compiler.AddResource(event.SchemaID, document); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile(event.SchemaID)
	if err != nil {
		t.Fatal(err)
	}
	validate := func(text string) error {
		document, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		return schema.Validate(document)
	}
	for _, name := range slices.Sorted(maps.Keys(examples())) {
		data, err := event.Encode(event.Source("a"), examples()[name])
		if err != nil {
			t.Fatal(err)
		}
		good := string(data)
		if err := validate(good); err != nil {
			t.Errorf("%s: %v\n%s", name, err, good)
		}
		for was, is := range map[string]string{
			`"seq":`: `"later":`, `"text":"`: `"text":7,"was":"`, `"specversion":"1.0"`: `"specversion":"0.3"`,
			`"type":"dev.serin.`: `"type":"com.example.`, `"time":"`: `"time":"at `, `"data":{`: `"data":[],"was":{`,
		} {
			if !strings.Contains(good, was) {
				t.Fatalf("%s has no %s:\n%s", name, was, good)
			}
			if validate(strings.Replace(good, was, is, 1)) == nil {
				t.Errorf("%s: %s in place of %s is taken", name, is, was)
			}
		}
		if err := validate(strings.Replace(good, `"data":{`, `"later":1,"data":{"later":{},`, 1)); err != nil {
			t.Errorf("%s: what a later release adds is refused: %v", name, err)
		}
	}
}
