package specfile

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// TestExamples reads the rollout files that users begin with, and wants every kind of gate in the
// one on gates and in the one that `serin init` writes.
func TestExamples(t *testing.T) {
	files, err := filepath.Glob("../../deploy/examples/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no examples: %v", err)
	}
	for _, file := range append(files, "../../cmd/serin/templates/rollout.yaml") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Parse(text); err != nil {
			t.Errorf("%s: %v", file, err)
		}
		if name := filepath.Base(file); name != "gates.yaml" && name != "rollout.yaml" {
			continue
		}
		for _, field := range reflect.VisibleFields(reflect.TypeFor[gates]()) {
			if key := field.Tag.Get("yaml"); !strings.Contains(string(text), " "+key+":") {
				t.Errorf("%s does not show gates.%s", file, key)
			}
		}
	}
}
