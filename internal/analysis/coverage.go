package analysis

// coverage is how many of one track's requests on one host HAProxy's log told of lately.
type coverage struct {
	rate // requests, and lines that told of them
	// ahead is by how many lines the log is ahead of the requests, negative if it is behind. Both are
	// read a moment apart, so lines may fall into the window before or after that of their requests.
	ahead int64
}

// after returns it at the end of a window. Lines beyond a window's requests are those that the window
// before lacks or the next one will lack; more are no merit, for they would hide what is lost. A window
// without requests makes those before it count for less, until they are forgotten: a track that has no
// more traffic is not held to its last ones for ever.
func (c coverage) after(requests, lines int64) coverage {
	gap := lines - requests
	late := min(max(0, gap), max(0, -c.ahead))
	early := min(max(0, -gap), max(0, c.ahead))
	next := coverage{ahead: min(max(c.ahead+gap, -requests), requests)}
	next.n = c.n*fastDecay + float64(requests)
	if next.n < 1 {
		return coverage{}
	}
	next.x = min(next.n, (c.x+float64(late))*fastDecay+float64(min(requests, lines)+early))
	return next
}

// enough tells whether the log told of enough to judge by.
func (c coverage) enough() bool { return c.x >= leastCoverage*c.n }
