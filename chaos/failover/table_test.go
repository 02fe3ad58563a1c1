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
