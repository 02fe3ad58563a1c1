package main

import (
	"math"
	"time"

	"github.com/serin-rollouts/serin/internal/analysis/traffic"
)

// scene is the fleet of most runs: five hosts, one canary and four stable
// containers on each (two at half of the traffic), five canary requests a
// second.
func scene(share float64) traffic.Scene {
	s := traffic.Scene{Hosts: 5, Stable: 4, PerSecond: 5, Share: share}
	if share >= .5 {
		s.Stable = 2
	}
	return s
}

// healthy is a scene in which canary is exactly as good as stable.
type healthy struct {
	name string
	traffic.Scene
}

func steady(name string, share, rate float64) healthy {
	s := scene(share)
	s.Rate = traffic.Fixed(rate, rate)
	return healthy{name, s}
}

// clustered is a scene in which errors come in bursts, on a ground of 0.1 %.
func clustered(name string, share float64, every, mean time.Duration, rate float64) healthy {
	s := scene(share)
	s.Rate = traffic.Fixed(.001, .001)
	s.Mood = traffic.Bursts(every, mean, rate)
	s.Step = time.Second
	return healthy{name, s}
}

func spread(name string, share float64) healthy {
	s := scene(share)
	s.Rate = traffic.Fixed(.01, .01)
	s.Mood = traffic.BetaBinomial(.1)
	return healthy{name, s}
}

// independent are scenes whose errors come one by one.
func independent() []healthy {
	return []healthy{
		steady("0.1 %, share 1 %", .01, .001),
		steady("1 %, share 1 %", .01, .01),
		steady("1 %, share 10 %", .1, .01),
		steady("1 %, share 50 %", .5, .01),
		steady("20 %, share 50 %", .5, .2),
		dayPattern(), hostsDiffer(), sharesGrow(), incidents(), comeAndGo(),
	}
}

// bursty are scenes whose errors cluster in containers.
func bursty() []healthy {
	const short, long = 5 * time.Second, 30 * time.Second
	one := clustered("one host, 30 s of 20 % each 30 min, share 10 %", .1, 30*time.Minute, long, .2)
	one.Hosts = 1
	three := clustered("three hosts, 30 s of 20 % each 30 min, share 50 %", .5, 30*time.Minute, long, .2)
	three.Hosts = 3
	return []healthy{
		spread("windows differ (icc 0.1), 1 %, share 10 %", .1),
		spread("windows differ (icc 0.1), 1 %, share 50 %", .5),
		clustered("2 s of 80 % each 5 min, share 10 %", .1, 5*time.Minute, 2*time.Second, .8),
		clustered("2 s of 80 % each 5 min, share 50 %", .5, 5*time.Minute, 2*time.Second, .8),
		clustered("5 s of 50 % each 10 min, share 1 %", .01, 10*time.Minute, short, .5),
		clustered("5 s of 50 % each 10 min, share 10 %", .1, 10*time.Minute, short, .5),
		clustered("5 s of 50 % each 10 min, share 50 %", .5, 10*time.Minute, short, .5),
		clustered("15 s of 60 % each 60 min, share 20 %", .2, time.Hour, 15*time.Second, .6),
		clustered("30 s of 20 % each 30 min, share 10 %", .1, 30*time.Minute, long, .2),
		clustered("30 s of 20 % each 30 min, share 50 %", .5, 30*time.Minute, long, .2),
		three, one,
	}
}

// span is how long the healthy scenes last: about 6,000 canary requests.
const span = 20 * time.Minute

// dayPattern has a day in the span of a run: traffic goes up and down by 80 %,
// and errors go with it from 0.2 % to 2 %.
func dayPattern() healthy {
	s := scene(.1)
	sun := func(at time.Duration) float64 { return math.Sin(2 * math.Pi * float64(at) / float64(span)) }
	s.Load = func(at time.Duration) float64 { return 1 + .8*sun(at) }
	s.Rate = func(_ int, _ bool, at time.Duration) float64 { return .002 * math.Pow(10, (1+sun(at))/2) }
	return healthy{"day pattern, share 10 %", s}
}

// hostsDiffer has hosts with 0.2 % to 20 % errors, of which the worse ones send
// more to canary, as sticky users may do.
func hostsDiffer() healthy {
	s := scene(.1)
	s.Rate = func(host int, _ bool, _ time.Duration) float64 { return .002 * math.Pow(10, float64(host)/2) }
	s.ShareAt = func(host int, _ time.Duration) float64 { return .06 + .02*float64(host) }
	return healthy{"hosts differ, 0.2 to 20 %, share 6 to 14 %", s}
}

// sharesGrow goes through a rollout's steps while errors fall.
func sharesGrow() healthy {
	s := scene(.1)
	s.ShareAt = func(_ int, at time.Duration) float64 {
		switch {
		case at <= span/4:
			return .01
		case at <= span/2:
			return .1
		}
		return .5
	}
	s.Rate = func(_ int, _ bool, at time.Duration) float64 { return .1 * math.Pow(.05, float64(at)/float64(span)) }
	return healthy{"share 1, 10, 50 % while errors fall from 10 to 0.5 %", s}
}

// incidents makes both tracks thirty times as bad for half a minute in five.
func incidents() healthy {
	s := scene(.1)
	s.Rate = func(_ int, _ bool, at time.Duration) float64 {
		if at%(5*time.Minute) < 30*time.Second {
			return .03
		}
		return .001
	}
	return healthy{"incidents in both, 0.1 to 3 %, share 10 %", s}
}

// comeAndGo has each host down for a minute in five, one after the other.
func comeAndGo() healthy {
	s := scene(.1)
	s.Rate = func(host int, _ bool, _ time.Duration) float64 { return .004 * float64(host+1) }
	s.Away = func(host int, at time.Duration) bool { return int(at.Minutes())%5 == host }
	return healthy{"hosts come and go, 0.4 to 2 %, share 10 %", s}
}
