package main

import (
	"fmt"
	"strings"
	"time"
)

// smallTable plays regressions to fleets of few hosts, where a burst in one container weighs most.
func smallTable(s *studio) string {
	fleets := []int{1, 2, 3, 5}
	var b strings.Builder
	b.WriteString("| stable → canary | allowed | 1 host | 2 hosts | 3 hosts | 5 hosts |\n|---|---|---|---|---|---|\n")
	for _, r := range []regression{
		{stable: .001, canary: .05, share: .1},
		{stable: .001, canary: .2, share: .1},
		{stable: .001, canary: .5, share: .1},
		{stable: .001, canary: .85, share: .1},
		{stable: .001, canary: 1, share: .1},
	} {
		var by [][][]result
		for _, hosts := range fleets {
			p := play{r.scene(), patience, func() []watcher { return ours(5 * time.Second) }}
			p.scene.Hosts = hosts
			by = append(by, s.runs(fmt.Sprintf("%s on %d hosts", r.name(), hosts), s.times(200), p))
		}
		for w, allowed := range []string{"no increase", "+0.5 points"} {
			fmt.Fprintf(&b, "| %s | %s |", r.name(), allowed)
			for f := range fleets {
				fmt.Fprintf(&b, " %s, %s |", took(by[f][w], ofRollout), clock(by[f][w], ofRollout, .5))
			}
			b.WriteString("\n")
		}
	}
	return b.String()
}
