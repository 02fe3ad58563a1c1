package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const asItMustBe = `{"good":{"outcome":"Succeeded","requests":4000,"failed":0,"seconds":21.5},
"bad":{"outcome":"RolledBack","requests":2100,"failed":0,"seconds":11,"gate":"errors","reason":"5xx 5 %","canary_requests":308,"canary_errors":9,"detect_ms":4200,"rollback_ms":12.5},
"hosts":3,"replicas":3}`

const badOfAll = `"bad":{"outcome":"RolledBack","requests":2100,"failed":0,"seconds":11,"gate":"errors","reason":"5xx 5 %","canary_requests":308,"canary_errors":9,"detect_ms":4200,"rollback_ms":12.5},`

const allThatThereIs = `{"good_runs":{"runs":20,"succeeded":20,"false_rollbacks":0,"false_alarms":0,"requests":90000,"failed":0,"seconds":450},
` + badOfAll + `
"slow":{"outcome":"RolledBack","requests":9000,"failed":0,"seconds":45,"gate":"latency-p99","reason":"p99","canary_requests":1600,"canary_errors":0,"detect_ms":44000,"rollback_ms":40},
"leak":{"outcome":"RolledBack","requests":9900,"failed":0,"seconds":50,"gate":"saturation","reason":"memory","canary_requests":900,"canary_errors":0,"detect_ms":41000,"rollback_ms":40},
"hosts":3,"replicas":3}`

func TestCheck(t *testing.T) {
	tests := []struct {
		name     string
		old, new string // what is changed in a report that is as it must be
		wrong    string // part of the complaint; none if empty
	}{
		{name: "as it must be"},
		{"good not done", `"Succeeded"`, `"Aborted"`, `good.outcome is "Aborted", not "Succeeded"`},
		{"good left out", `"good":{"outcome":"Succeeded","requests":4000,"failed":0,"seconds":21.5},`, ``, "good is missing"},
		{"bad not taken back", `"RolledBack"`, `"Succeeded"`, `bad.outcome is "Succeeded", not "RolledBack"`},
		{"by another gate", `"gate":"errors"`, `"gate":"saturation"`, `bad.gate is "saturation", not "errors"`},
		{"a request lost", `"requests":4000,"failed":0`, `"requests":4000,"failed":1`, "good.failed is 1, not 0"},
		{"failed left out", `"requests":2100,"failed":0,`, `"requests":2100,`, "bad.failed is missing, not 0"},
		{"no traffic", `"requests":4000`, `"requests":0`, "no traffic"},
		{"bad never seen", `"canary_errors":9`, `"canary_errors":0`, "never seen"},
		{"too long undecided", `"canary_requests":308`, `"canary_requests":1300`, "bad.canary_requests is 1300, more than 1200"},
		{"decided by hardly anything", `"canary_requests":308`, `"canary_requests":20`, "bad.canary_requests is 20, fewer than 60"},
		{"slow rollback", `12.5`, `100`, "bad.rollback_ms is 100, not below 100"},
		{"no rollback time", `,"rollback_ms":12.5`, ``, "bad.rollback_ms is missing"},
		{"too few hosts", `"hosts":3`, `"hosts":2`, "hosts is 2, not 3"},
		{"too few replicas", `"replicas":3`, `"replicas":1`, "replicas is 1, not 3"},
		{"unknown key", `"hosts":3`, `"hosts":3,"more":1`, `unknown field "more"`},
		{"cut off", `"hosts":3,"replicas":3}`, ``, "unexpected EOF"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			checked(t, strings.Replace(asItMustBe, tt.old, tt.new, 1), tt.wrong)
		})
	}
}

func TestCheckOfAllGates(t *testing.T) {
	tests := []struct{ name, old, new, wrong string }{
		{name: "as it must be"},
		{"one wronged", `"succeeded":20,"false_rollbacks":0`, `"succeeded":19,"false_rollbacks":1`, "good_runs.false_rollbacks is 1, not 0"},
		{"one not done", `"succeeded":20`, `"succeeded":19`, "good_runs.succeeded is 19, not 20"},
		{"too few", `"runs":20,"succeeded":20`, `"runs":19,"succeeded":19`, "good_runs.runs is 19, not 20"},
		{"one alarm", `"false_alarms":0`, `"false_alarms":1`, "good_runs.false_alarms is 1, not 0"},
		{"a request lost", `"requests":90000,"failed":0`, `"requests":90000,"failed":2`, "good_runs.failed is 2, not 0"},
		{"hardly a load", `"requests":90000`, `"requests":900`, "good_runs.requests is 900 in 450 s"},
		{"slow by errors", `"latency-p99"`, `"errors"`, `slow.gate is "errors", not "latency-p99"`},
		{"slow with errors", `1600,"canary_errors":0`, `1600,"canary_errors":3`, "slow.canary_errors is 3, not 0"},
		{"slow unseen for long", `"detect_ms":44000`, `"detect_ms":180001`, "slow.detect_ms is 180001, more than 180000"},
		{"leak at once", `"detect_ms":41000`, `"detect_ms":12000`, "leak.detect_ms is 12000, less than 30000"},
		{"leak unseen for long", `"detect_ms":41000`, `"detect_ms":120001`, "leak.detect_ms is 120001, more than 120000"},
		{"sooner than predicted", `"canary_requests":308`, `"canary_requests":89`, "bad.canary_requests is 89, fewer than 90"},
		{"later than predicted", `"canary_requests":308`, `"canary_requests":1031`, "bad.canary_requests is 1031, more than 1030"},
		{"bad left out", badOfAll, "", "bad is missing"},
		{"leak by its deadline", `"saturation"`, `""`, `leak.gate is "", not "saturation"`},
		{"more than was asked for", `"slow"`, `"good":{"outcome":"Succeeded"},"slow"`, "good is there, and was not asked for"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			checked(t, strings.Replace(allThatThereIs, tt.old, tt.new, 1), tt.wrong, demoVerdicts(t)...)
		})
	}
}

// demoVerdicts are the arguments that the Makefile holds a report of every
// scenario to.
func demoVerdicts(t *testing.T) []string {
	t.Helper()
	makefile, err := os.ReadFile("../../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	_, target, _ := strings.Cut(string(makefile), "\ndemo-verdicts:")
	_, line, found := strings.Cut(target, "checkreport -scenario ")
	args, _, closed := strings.Cut(line, ` "$$report"`)
	if !found || !closed {
		t.Fatal("make demo-verdicts does not check a report")
	}
	return append([]string{"-scenario"}, strings.Fields(args)...)
}

// checked runs the command over a report and wants a complaint with those
// words, or none.
func checked(t *testing.T, report, wrong string, args ...string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "report.json")
	if err := os.WriteFile(file, []byte(report), 0o600); err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	code := run(append(args, file), &stdout, &stderr)
	if ok := code == 0; ok != (wrong == "") || !strings.Contains(stderr.String(), wrong) {
		t.Errorf("exit code %d, stderr %q; want a complaint with %q", code, stderr.String(), wrong)
	}
}
