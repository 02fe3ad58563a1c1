package analysis

import "github.com/serin-rollouts/serin/internal/latency"

// mostBands is the most thresholds that a gate has.
const mostBands = 6

// mostLatencies bounds what a report may say of latencies.
const mostLatencies = 4096

// times are counts of requests by how long they took.
type times struct {
	requests, lines int64 // in all route classes: HAProxy's count, and its log's lines
	timed           int64 // of the gate's class, of a known time
	// slow are those of timed above edges: canary's at its two of each band, stable's above the
	// threshold, in the first place of the two.
	slow [2 * mostBands]int64
}

func (t times) plus(o times) times {
	t.requests += o.requests
	t.lines += o.lines
	t.timed += o.timed
	for k := range t.slow {
		t.slow[k] += o.slow[k]
	}
	return t
}

func (t times) minus(o times) times {
	t.requests -= o.requests
	t.lines -= o.lines
	t.timed -= o.timed
	for k := range t.slow {
		t.slow[k] -= o.slow[k]
	}
	return t
}

// below leaves out slow: its edges may be other ones now.
func (t times) below(o times) bool {
	return t.requests < o.requests || t.lines < o.lines || t.timed < o.timed
}

func (t times) settled() times {
	for k, n := range t.slow {
		t.slow[k] = min(max(n, 0), t.timed)
	}
	return t
}

func (t times) size() int64 { return t.timed }

// tables returns a window's tables of a band: canary's requests beyond the allowance for the
// roll-back, and beyond the one that safety is proven against.
func tables(w window[times], band int) (fail, pass Table) {
	var stable times
	for _, t := range w.stable {
		stable = stable.plus(t)
	}
	return tablesOf(w.canary, stable, band)
}

func tablesOf(canary, stable times, band int) (fail, pass Table) {
	fail = Table{canary.timed, canary.slow[2*band], stable.timed, stable.slow[2*band]}
	pass = fail
	pass.CanaryX = canary.slow[2*band+1]
	return fail, pass
}

// instances returns stable's instances' requests, and those slower than a band's threshold.
func instances(w window[times], band int) map[string]Counts {
	each := make(map[string]Counts, len(w.stable))
	for name, t := range w.stable {
		each[name] = Counts{t.timed, t.slow[2*band]}
	}
	return each
}

// cuts are the thresholds in force: those of the first known bands.
type cuts struct {
	known int
	edges [mostBands]latency.Edge
}

// ladders returns the edges that canary's and stable's requests are counted above.
func (j *latencyJudge) ladders() (canary, stable []latency.Edge) {
	beyond, within := j.factors()
	for _, e := range j.cuts.edges[:j.cuts.known] {
		canary = append(canary, e.Over(beyond), e.Under(within))
		stable = append(stable, e)
	}
	return canary, stable
}

// factors returns by which factor canary's quantile has to exceed stable's for a failure, and may
// not exceed it for a pass. An edge is taken where both err to the careful side.
func (j *latencyJudge) factors() (beyond, within float64) {
	beyond = 1 + float64(j.gate.MaxIncrease)/1e4
	if j.gate.MaxIncrease == 0 {
		return beyond, 1 + alikeSlowdown/1e4
	}
	return beyond, beyond
}

// read counts a report's requests at the thresholds in force; false if it makes no sense.
func (j *latencyJudge) read(r Report) (reading[times], bool) {
	now := reading[times]{
		incarnation: r.Incarnation, at: r.At, stable: make(map[string]times), instances: r.CanaryInstances,
	}
	if r.Host == "" || len(r.Latencies) > mostLatencies {
		return now, false
	}
	canary, stable := j.ladders()
	for len(j.told) < len(r.Latencies) {
		j.told = append(j.told, latency.Buckets{})
	}
	for i, l := range r.Latencies {
		edges, stride, t := stable, 2, now.stable[l.Instance]
		if l.Canary {
			edges, stride, t = canary, 1, now.canary
		}
		if !j.count(&t, l, &j.told[i], edges, stride) {
			return now, false
		}
		if l.Canary {
			now.canary = t
		} else {
			now.stable[l.Instance] = t
		}
	}
	return now, len(now.stable) <= mostInstances
}

// count adds what is said of one class, the sketch of which is read into told.
func (j *latencyJudge) count(t *times, l Latency, told *latency.Buckets, edges []latency.Edge, stride int) bool {
	if !(Counts{l.Requests, l.Lines}).sane() || told.Read(l.Sketch) != nil {
		return false
	}
	t.requests += l.Requests
	t.lines += l.Lines
	if !j.concerns(l) {
		return true
	}
	t.timed += told.Count()
	var above [2 * mostBands]int64
	told.Above(edges, above[:])
	for k := range edges {
		t.slow[stride*k] += above[k]
	}
	return true
}

// concerns tells whether a class is the gate's.
func (j *latencyJudge) concerns(l Latency) bool { return j.gate.Route == "" || j.gate.Route == l.Route }
