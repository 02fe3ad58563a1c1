package main

import (
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/serin-rollouts/serin/chaos/check"
)

// chosen is how often each version is rolled out, by its ill.
func chosen(t *testing.T, versions string, times int) (tags map[string]int, hanging int) {
	t.Helper()
	dishes, err := Options{Versions: versions}.dishes()
	if err != nil {
		t.Fatal(err)
	}
	tags = map[string]int{}
	chance := rand.New(rand.NewPCG(1, 0))
	for range times {
		c := choose(dishes, chance)
		tags[c.Version]++
		if c.Ill == check.Hanging {
			hanging++
		}
	}
	return tags, hanging
}

// TestVersions: those that are named are rolled out, the good ones, and nobody else;
// so nobody can have waited for one that answers nobody, unless that is named.
func TestVersions(t *testing.T) {
	const times = 10000
	for versions, want := range map[string]string{
		"dies":        "dies,v1,v2,v3",
		"leaks,dies":  "dies,leaks,v1,v2,v3",
		"errs,broken": "broken,errs,v1,v2,v3",
	} {
		tags, hanging := chosen(t, versions, times)
		if got := strings.Join(slices.Sorted(maps.Keys(tags)), ","); got != want || hanging > 0 {
			t.Errorf("%s: rolled out are %s, want %s; %d answer nobody", versions, got, want, hanging)
		}
		if ill := times - tags["v1"] - tags["v2"] - tags["v3"]; ill < times/3 {
			t.Errorf("%s: %d of %d are ill", versions, ill, times)
		}
	}
	if _, hanging := chosen(t, check.Hanging, times); hanging == 0 {
		t.Error("hangs: none of them answers nobody")
	}
	if tags, hanging := chosen(t, everything, times); len(tags) != len(menu()) || hanging == 0 {
		t.Errorf("%d of %d versions are chosen, %d times one that answers nobody", len(tags), len(menu()), hanging)
	}
}
