package fleet

import (
	"maps"
	"testing"
)

// TestShares: a map's lines tell whose share it is, if it is anybody's.
func TestShares(t *testing.T) {
	got, err := parseShares([]string{"0x55d0 shop1 2000:f470f33423:b:1", "0x55d1 shop2 0:-:-:1", ""})
	want := map[string]Share{"shop1": {Points: 2000, Revision: "f470f33423"}, "shop2": {}}
	if err != nil || !maps.Equal(got, want) {
		t.Errorf("shares: %v (%v), want %v", got, err, want)
	}
	if _, err := parseShares([]string{"0x55d0 shop1 many:f470f33423:b:1"}); err == nil {
		t.Error("a share that is no number is taken for one")
	}
}
