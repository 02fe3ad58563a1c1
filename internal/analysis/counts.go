package analysis

// Counts are requests, and those of them that were answered with a server error.
type Counts struct {
	Requests int64 `json:"requests"`
	Errors   int64 `json:"errors"`
}

func (c Counts) plus(o Counts) Counts {
	return Counts{c.Requests + o.Requests, c.Errors + o.Errors}
}

func (c Counts) minus(o Counts) Counts {
	return Counts{c.Requests - o.Requests, c.Errors - o.Errors}
}

// below tells whether either counter is lower.
func (c Counts) below(o Counts) bool { return c.Requests < o.Requests || c.Errors < o.Errors }

// settled repairs a window whose errors outnumber its requests, as may happen when a counter of
// answers is read a little later than the counter of requests: an answered request is a request.
func (c Counts) settled() Counts { return Counts{max(c.Requests, c.Errors), c.Errors} }

// size is the number of requests.
func (c Counts) size() int64 { return c.Requests }

// PPM returns the error rate in parts per million, 0 without requests.
func (c Counts) PPM() int64 {
	if c.Requests <= 0 {
		return 0
	}
	return int64(float64(c.Errors)/float64(c.Requests)*1e6 + .5)
}

// mostCount keeps counters within what floating-point numbers hold exactly.
const mostCount = 1 << 50

// counts is what the report says of requests and errors.
func (r Report) counts() reading[Counts] {
	return reading[Counts]{
		incarnation: r.Incarnation, at: r.At, canary: r.Canary, stable: r.Stable, instances: r.CanaryInstances,
	}
}

// table sums stable's instances.
func table(w window[Counts]) Table {
	t := Table{CanaryN: w.canary.Requests, CanaryX: w.canary.Errors}
	for _, c := range w.stable {
		t.StableN += c.Requests
		t.StableX += c.Errors
	}
	return t
}

// sane tells whether a report can be counted at all.
func (r Report) sane() bool {
	if r.Host == "" || len(r.Stable) > mostInstances || !r.Canary.sane() {
		return false
	}
	for _, c := range r.Stable {
		if !c.sane() {
			return false
		}
	}
	return true
}

func (c Counts) sane() bool {
	return c.Requests >= 0 && c.Errors >= 0 && c.Requests <= mostCount && c.Errors <= mostCount
}
