package main

import (
	"testing"
	"time"
)

func TestUntilOf(t *testing.T) {
	zone := time.FixedZone("CET", 3600)
	now := time.Date(2026, 11, 30, 17, 30, 0, 0, zone)
	for text, want := range map[string]time.Duration{
		"":                          0,
		"90m":                       90 * time.Minute,
		"18:00":                     30 * time.Minute,
		"17:30":                     24 * time.Hour, // is now, so it is tomorrow's
		"09:15":                     15*time.Hour + 45*time.Minute,
		"2026-11-30T17:00:00Z":      30 * time.Minute,
		"2026-12-01T17:30:00+01:00": 24 * time.Hour,
	} {
		if got, err := untilOf(text, now); err != nil || got != want {
			t.Errorf("--until %q is in %s (%v), want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"tomorrow", "25:00", "0s", "-1h", "2026-11-30T16:30:00Z", "8"} {
		if got, err := untilOf(text, now); err == nil {
			t.Errorf("--until %q is in %s, want an error", text, got)
		}
	}
}
