package rollout

import "fmt"

// A host can be told from the version only beside others: fewest is how many
// must have the canary. mostExcluded is the inverse of the part of the hosts
// that a rollout may leave out; beyond it the version is to blame.
const (
	fewest       = 3
	mostExcluded = 10
)

// Private

// oneHost answers what a single host shows and the others do not. It reports
// false where that is as bad as if all showed it.
func (d *decision) oneHost(host string, why Why) (Command, bool) {
	if host == "" || !d.mayLeave(host) {
		return nil, false
	}
	why.Cause, why.Hosts = CauseHost, []string{host}
	switch d.r.Spec.Gates.OneHost {
	case ExcludeHost:
		return Exclude{Target: d.target(), Host: host, Why: why}, true
	case PauseForHost:
		if d.r.Phase == Progressing {
			return Pause{Target: d.target(), Why: why, Park: true, Baseline: d.e.Baseline}, true
		}
	case FailForHost:
	}
	return nil, false
}

// mayLeave reports whether the wave can do without the host.
func (d *decision) mayLeave(host string) bool {
	k := d.r.position(host)
	excluded, all := len(d.r.Excluded), len(d.r.Hosts)+len(d.r.Excluded)
	return k >= 0 && k < d.r.Wave() && d.r.Wave() >= fewest && !d.r.Install() && excluded < max(1, all/mostExcluded)
}

// outlier looks for a host whose canary alone is bad.
func (d *decision) outlier() Command {
	if !d.gated() || d.e.Verdict.Outlier == "" {
		return nil
	}
	host := d.e.Verdict.Outlier
	why := Why{Text: fmt.Sprintf("canary is bad on %s alone: %s", host, d.e.Verdict.OutlierReason), Verdict: &d.e.Verdict}
	if c, ok := d.oneHost(host, why); ok {
		return c
	}
	why.Cause, why.Hosts = CauseGate, []string{host}
	return d.fail(why)
}
