package fleetclock

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

const lease = 30 * time.Second

func TestClock(t *testing.T) {
	start := time.Unix(1_790_000_000, 0)
	type beat struct {
		at, told time.Duration
		term     uint64
	}
	for name, c := range map[string]struct {
		beats []beat
		want  map[time.Duration]time.Duration // by local time
	}{
		"no beat":                          {nil, map[time.Duration]time.Duration{time.Second: 0}},
		"a beat that tells no time":        {[]beat{{0, 0, 1}}, map[time.Duration]time.Duration{time.Second: 0}},
		"goes on, and stands without news": {[]beat{{0, time.Minute, 1}}, map[time.Duration]time.Duration{3 * time.Second: 63 * time.Second, time.Hour: 70 * time.Second}},
		"a little behind":                  {[]beat{{0, time.Minute, 1}, {5 * time.Second, 62 * time.Second, 2}}, map[time.Duration]time.Duration{5 * time.Second: 65 * time.Second, 9 * time.Second: 66 * time.Second}},
		"far behind":                       {[]beat{{0, time.Hour, 1}, {5 * time.Second, time.Minute, 2}}, map[time.Duration]time.Duration{6 * time.Second: 61 * time.Second}},
		"a deposed leader":                 {[]beat{{0, time.Minute, 2}, {time.Second, time.Hour, 1}}, map[time.Duration]time.Duration{2 * time.Second: 62 * time.Second}},
	} {
		for local, want := range c.want {
			var clock Clock
			for _, b := range c.beats {
				clock.At(start.Add(b.at)) // what was given out counts
				clock.Hear(start.Add(b.at), b.told, lease, b.term)
			}
			if got := clock.At(start.Add(local)); got != want {
				t.Errorf("%s: %s after %s, want %s", name, got, local, want)
			}
		}
	}
}

// The time never falls while leaders are not far behind what they were told.
func TestNeverFalls(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var clock Clock
		local, told, last := time.Unix(1_790_000_000, 0), time.Minute, time.Duration(0)
		for term := range uint64(rapid.IntRange(1, 40).Draw(t, "beats")) {
			step := time.Duration(rapid.Int64Range(0, int64(20*time.Second)).Draw(t, "step"))
			local, told = local.Add(step), told+step
			late := time.Duration(rapid.Int64Range(0, int64(lease/goesOn)).Draw(t, "late"))
			clock.Hear(local, max(told-late, 1), lease, term/3)
			if now := clock.At(local); now < last {
				t.Fatalf("fell from %s to %s", last, now)
			} else {
				last = now
			}
		}
	})
}
