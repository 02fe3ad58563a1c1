package main

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// alarmRuns is how often each healthy scene is played, againRuns how often those
// near alpha are again, windowRuns how often to windows of another length.
const (
	alarmRuns  = 10_000
	againRuns  = 40_000
	windowRuns = 3000
)

// counted is a healthy scene with what its watchers did.
type counted struct {
	healthy

	n       int
	results [][]result
}

// count plays healthy scenes to all judges with short windows.
func (s *studio) count(scenes []healthy, n int) []counted {
	var all []counted
	for _, h := range scenes {
		c, known := s.counts[h.name]
		if !known {
			watchers := func() []watcher { return cast(h.Share)[:worse10] }
			c = counted{h, n, s.runs(h.name, n, play{h.Scene, span, watchers})}
			s.counts[h.name] = c
		}
		all = append(all, c)
	}
	return all
}

// shares writes how many runs fired, in percent, at 1 % and at 5 %.
func (c counted) shares(watcher int) string {
	percent := func(level int) float64 { return 100 * float64(fired(c.results[watcher], level)) / float64(c.n) }
	one, five := percent(onePercent), percent(fivePercent)
	switch watcher {
	case kayenta, flagger, argo:
		return fmt.Sprintf("%.1f", one)
	case worse5, beyond5:
		if c.over(watcher) {
			return fmt.Sprintf("**%.2f / %.1f**", one, five)
		}
		return fmt.Sprintf("%.2f / %.1f", one, five)
	}
	return fmt.Sprintf("%.1f / %.1f", one, five)
}

// over tells whether more runs fired than the levels shown allow.
func (c counted) over(watcher int) bool {
	alphas := levels()
	for _, level := range []int{onePercent, fivePercent} {
		if fired(c.results[watcher], level) > most(c.n, alphas[level]) {
			return true
		}
	}
	return false
}

func alarmsTable(s *studio) string {
	var b strings.Builder
	b.WriteString("| canary is as good as stable | serin, no increase allowed | serin, +0.5 points allowed | repeated z-test | Kayenta, each minute | Flagger 99 %, 5 failed | Argo 95 %, 3 failed | mSPRT | Lindon-Malek | Turner-Grünwald |\n")
	b.WriteString("|---|---|---|---|---|---|---|---|---|---|\n")
	for _, c := range s.count(append(independent(), bursty()...), s.times(alarmRuns)) {
		fmt.Fprintf(&b, "| %s |", c.name)
		for _, w := range []int{worse5, beyond5, zTest, kayenta, flagger, argo, msprt, multinomial, blocks} {
			fmt.Fprintf(&b, " %s |", c.shares(w))
		}
		b.WriteString("\n")
	}
	return b.String()
}

// againTable plays the scenes that come nearest to alpha again, so often that a
// tenth of it would show, with other seeds: those that brought them here tell
// too much.
func againTable(s *studio) string {
	var b strings.Builder
	b.WriteString("| canary is as good as stable | serin, no increase allowed | serin, +0.5 points allowed |\n|---|---|---|\n")
	n := s.times(againRuns)
	for _, h := range bursty()[len(bursty())-3:] {
		p := play{h.Scene, span, func() []watcher { return ours(5 * time.Second) }}
		c := counted{h, n, s.runsAfter(h.name+", again", alarmRuns, n, p)}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", h.name, c.shares(worse5), c.shares(beyond5))
	}
	return b.String()
}

// windowsTable holds the lengths of a window against each other.
func windowsTable(s *studio) string {
	var b strings.Builder
	b.WriteString("| canary is as good as stable | 5 s, no increase | 10 s, no increase | 5 s, +0.5 points | 10 s, +0.5 points |\n|---|---|---|---|---|\n")
	for _, short := range s.count(bursty(), s.times(alarmRuns)) {
		n := s.times(windowRuns)
		long := counted{short.healthy, n, s.runs(short.name+", 10 s", n, play{short.Scene, span, func() []watcher { return ours(10 * time.Second) }})}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |", short.name,
			short.shares(worse5), long.shares(worse5), short.shares(beyond5), long.shares(beyond5))
		b.WriteString("\n")
	}
	return b.String() + "\n" + windowsDetection(s)
}

// alarmsCheck plays the scenes to the product's judge alone, a few times.
func alarmsCheck(s *studio) error {
	var wrong []error
	n := s.times(200)
	for _, h := range append(independent(), bursty()...) {
		c := counted{h, n, s.runs(h.name, n, play{h.Scene, span, func() []watcher { return ours(5 * time.Second) }})}
		for _, w := range []int{worse5, beyond5} {
			if c.over(w) {
				wrong = append(wrong, fmt.Errorf("%s: %d and %d of %d good versions failed at alpha 1 %% and 5 %%",
					c.name, fired(c.results[w], onePercent), fired(c.results[w], fivePercent), c.n))
			}
		}
	}
	return errors.Join(wrong...)
}
