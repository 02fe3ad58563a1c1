package version_test

import (
	"testing"

	"github.com/serin-rollouts/serin/internal/version"
)

func TestSemantic(t *testing.T) {
	for linked, want := range map[string]string{
		"v1.2.3":               "1.2.3",
		"1.2.3":                "1.2.3",
		"v1.2.3-4-g4bf92f3":    "1.2.3-4-g4bf92f3",
		"4bf92f3-dirty":        "0.0.0-g4bf92f3-dirty",
		"0123":                 "0.0.0-g0123",
		"dev":                  "0.0.0-gdev",
		"feature/x":            "0.0.0-gfeature-x",
		"v1.2":                 "0.0.0-g1-2",
		"":                     "0.0.0-g",
		"v01.2.3":              "0.0.0-g01-2-3",
		"v1.2.3-rc.1-4-gabcdf": "1.2.3-rc.1-4-gabcdf",
	} {
		if got := version.Semantic(linked); got != want {
			t.Errorf("%q: got %q, want %q", linked, got, want)
		}
	}
}
