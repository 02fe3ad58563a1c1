package analysis

import "math"

const (
	// mostUnlike is the largest odds ratio that hosts are believed to have by nature, and what is
	// assumed of those of which no past is known.
	mostUnlike = 10
	// unlikeShare is the inverse of the part of alpha at which the past is read.
	unlikeShare = 100
	// usuallyUnlike is by how much hosts usually differ, as the standard deviation of the logarithm of
	// their odds: what little a short past says is drawn towards no difference.
	usuallyUnlike = .5
)

// Sides are what two groups of hosts counted while both ran stable.
type Sides struct {
	Canary Counts `json:"canary"` // of the hosts that are canary's now
	Stable Counts `json:"stable"`
}

// unlike is how different two groups of hosts are by nature, as odds ratios of the first's bad
// requests over the second's: the most that they may be, and about what they are.
type unlike struct{ most, about float64 }

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
