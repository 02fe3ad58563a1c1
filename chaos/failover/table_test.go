package main

import (
	"strings"
	"testing"
	"time"
)

func TestTable(t *testing.T) {
	var all []time.Duration
	for i := range 50 {
		all = append(all, time.Duration(50-i)*time.Millisecond)
	}
	var out strings.Builder
	if err := table(&out, 50, row{"bare", all}, row{"none", nil}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"kill -9 of the leader, 50 times", "| bare | 25 ms | 45 ms | 50 ms | 50 ms |", "| none | - | - | - | - |"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in:\n%s", want, &out)
		}
	}
}

// TestVerdict: an action that is late is counted, one at the bound is not; and the
// table has all that was measured.
func TestVerdict(t *testing.T) {
	var m measured
	m.add(time.Millisecond, failover{commit: 2 * time.Millisecond, action: promptly, whole: 3 * time.Millisecond})
	if err := m.verdict(); err != nil {
		t.Errorf("nothing is late: %v", err)
	}
	m.add(time.Millisecond, failover{action: promptly + 1})
	m.add(time.Millisecond, failover{action: time.Minute})
	if err := m.verdict(); err == nil || !strings.Contains(err.Error(), "2 of 3 times") {
		t.Errorf("2 of 3 are late: %v", err)
	}
	var out strings.Builder
	if err := m.table(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"of the leader, 3 times | p50 | p90 | p99 | max |", "next action | 250 ms | 60000 ms | 60000 ms | 60000 ms |", "that action | 0 ms | 3 ms | 3 ms | 3 ms |"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in:\n%s", want, &out)
		}
	}
}
