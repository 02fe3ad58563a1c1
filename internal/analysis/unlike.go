package analysis

import "math"

const (
	// mostUnlike is the largest odds ratio that hosts are believed to have by nature, and what is
	// assumed of those of which no past is known.
	mostUnlike = 10
	// pastShare is the inverse of the part of a gate's alpha that is for reading the past.
	pastShare = 100
	// usuallyUnlike is by how much hosts usually differ, as the standard deviation of the logarithm of
	// their odds: what little a short past says is drawn towards no difference.
	usuallyUnlike = .5
)

// Sides are what two groups of hosts counted while both ran stable.
type Sides struct {
	Canary Counts `json:"canary"` // of the hosts that are canary's now
	Stable Counts `json:"stable"`
}

// ofPast returns what of a gate's share of alpha is for reading how hosts differ of themselves, in
// parts per million as the share: for taking too little of what is between canary and stable for the
// hosts'. Of a share too small to be divided it is nothing, and then the most is assumed.
func ofPast(share int) int { return share / pastShare }

// levelOfPast is the part of Config.Past for the n-th past that is read, from 1. Each wave has another,
// for other hosts are canary's; the parts of all together come to the whole.
func (c Config) levelOfPast(n int) float64 { return float64(c.Past) / 1e6 / float64(n*(n+1)) }

// unlike is how different two groups of hosts are by nature, as odds ratios of the first's bad
// requests over the second's: the most that they may be, and about what they are.
type unlike struct{ most, about float64 }

// groups are what a step's findings tell of hosts that were compared with hosts, as in Finding; zero: none
// were.
type groups struct{ unlike, past int64 }

// note keeps the most that was assumed.
func (g *groups) note(u unlike, past Sides) {
	g.unlike = max(g.unlike, milli(u.most))
	g.past = max(g.past, past.Canary.Requests+past.Stable.Requests)
}

// alike are groups that share hosts and time: there is nothing by nature between them.
func alike() unlike { return unlike{1, 1} }

// unlikeness reads it from their past, whose errors cluster by phi. Level is the chance that the most
// is too low, by the normal approximation to the logarithm of the odds ratio with half an error added
// to each count (Haldane 1956, Woolf 1955).
func unlikeness(past Sides, phi, level float64) unlike {
	if past.Canary.Requests == 0 || past.Stable.Requests == 0 {
		return unlike{mostUnlike, 1}
	}
	c, s := past.Canary.settled(), past.Stable.settled()
	logOdds := func(c Counts) (mean, variance float64) {
		bad, good := float64(c.Errors)+.5, float64(c.Requests-c.Errors)+.5
		return math.Log(bad / good), 1/bad + 1/good
	}
	of, uncertain := logOdds(c)
	other, more := logOdds(s)
	variance := phi * (uncertain + more)
	top := of - other + normalUpper(level)*math.Sqrt(variance)
	prior := usuallyUnlike * usuallyUnlike
	about := (of - other) * prior / (prior + variance)
	return unlike{
		most:  min(mostUnlike, math.Exp(max(0, top))),
		about: min(mostUnlike, max(1./mostUnlike, math.Exp(about))),
	}
}

// normalUpper returns what a standard normal variable exceeds with probability p.
func normalUpper(p float64) float64 { return math.Sqrt2 * math.Erfinv(1-2*p) }

// shifted returns the rate whose odds are so many times those of p.
func shifted(p, odds float64) float64 {
	if odds == 1 {
		return p
	}
	return p * odds / (1 - p + p*odds)
}
