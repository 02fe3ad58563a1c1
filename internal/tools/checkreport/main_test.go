package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const asItMustBe = `{"good":{"outcome":"Succeeded","requests":4000,"failed":0,"seconds":21.5},
"bad":{"outcome":"RolledBack","requests":2100,"failed":0,"canary_errors":9,"detect_ms":4200,"rollback_ms":12.5,"seconds":11},
"hosts":3,"replicas":3}`

func TestCheck(t *testing.T) {
	tests := []struct {
		name     string
		old, new string // what is changed in a report that is as it must be
		wrong    string // part of the complaint; none if empty
	}{
		{name: "as it must be"},
		{"good not done", `"Succeeded"`, `"Aborted"`, `good.outcome is "Aborted", not "Succeeded"`},
		{"bad not taken back", `"RolledBack"`, `"Succeeded"`, `bad.outcome is "Succeeded", not "RolledBack"`},
		{"a request lost", `"requests":4000,"failed":0`, `"requests":4000,"failed":1`, "good.failed is 1, not 0"},
		{"failed left out", `"requests":2100,"failed":0,`, `"requests":2100,`, "bad.failed is missing, not 0"},
		{"no traffic", `"requests":4000`, `"requests":0`, "no traffic"},
		{"bad never seen", `"canary_errors":9`, `"canary_errors":0`, "never seen"},
		{"slow rollback", `12.5`, `100`, "bad.rollback_ms is 100, not below 100"},
		{"no rollback time", `"rollback_ms":12.5,`, ``, "bad.rollback_ms is missing"},
		{"too few hosts", `"hosts":3`, `"hosts":2`, "hosts is 2, not 3"},
		{"too few replicas", `"replicas":3`, `"replicas":1`, "replicas is 1, not 3"},
		{"unknown key", `"hosts":3`, `"hosts":3,"more":1`, `unknown field "more"`},
		{"cut off", `"hosts":3,"replicas":3}`, ``, "unexpected EOF"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "report.json")
			if err := os.WriteFile(file, []byte(strings.Replace(asItMustBe, tt.old, tt.new, 1)), 0o600); err != nil {
				t.Fatal(err)
			}
			var stdout, stderr bytes.Buffer
			code := run([]string{file}, &stdout, &stderr)
			if ok := code == 0; ok != (tt.wrong == "") || !strings.Contains(stderr.String(), tt.wrong) {
				t.Errorf("exit code %d, stderr %q; want a complaint with %q", code, stderr.String(), tt.wrong)
			}
		})
	}
}
