package analysis

import (
	"math"
	"strconv"
	"time"
)

// fewestHosts is how many hosts there must be to tell one of them from the version.
const fewestHosts = 3

// apartShare is the inverse of the part of a gate's alpha that is for what is told of single hosts:
// most of it for naming one, and pastShare's part for what they differ by of themselves. To be named
// may end the rollout as a failure does, so all have to come out of one budget.
const apartShare = 10

// Apart returns what of a gate's share of alpha is for naming the one host that is bad, in parts per
// million as the share. Of a share too small to be divided it is nothing.
func Apart(share int) int { return share/apartShare - ofPast(share) }

// Together returns what of a gate's share of alpha is for what the hosts show together, in parts per
// million as the share.
func Together(share int) int { return share - Apart(share) - ofPast(share) }

// outlierOf looks for the host whose canary alone is bad: its own evidence refutes "as good as
// stable" at the level Config.Apart, divided by the number of hosts that it might be, and the others
// together show no more than slight evidence. Hosts that are heard of only later count as well: the
// level of a host is the same whenever it comes. So the chance that any host whose canary is as good
// as its stable is ever named is Apart at most. It returns the host and ln of its evidence.
func outlierOf(pools []*broad, c Config) (host string, alone float64, found bool) {
	n := len(pools[0].hosts)
	least := c.leastAlone(n)
	if n < fewestHosts || !anyReaches(pools, least) {
		return "", 0, false
	}
	_, host, rest := scoreOf(pools)
	terms := make([]float64, len(pools))
	for i, b := range pools {
		terms[i] = b.logAlone(host)
	}
	alone = mean(terms)
	return host, alone, rest <= math.Log(calmLimit) && alone >= least
}

// leastAlone is the evidence that names a host when so many have been heard of.
func (c Config) leastAlone(heard int) float64 {
	if c.Apart <= 0 {
		return math.Inf(1)
	}
	return math.Log(float64(c.among(heard))) - math.Log(float64(c.Apart)/1e6)
}

func (c Config) among(heard int) int { return max(c.Hosts, heard) }

// suspect is the host that a decision by these pools looks at for itself: the one that most of the
// evidence comes from. It is "" if none is looked at, for all of the evidence is slight and no host's
// is enough to name it; to find one takes by far the most of a look at thousands of hosts.
func suspect(pools []*broad, c Config) string {
	terms := make([]float64, len(pools))
	for i, b := range pools {
		terms[i] = b.logE()
	}
	if mean(terms) <= math.Log(calmLimit) && !anyReaches(pools, c.leastAlone(len(pools[0].hosts))) {
		return ""
	}
	_, host, _ := scoreOf(pools)
	return host
}

// anyReaches tells whether a host's evidence could be so much: a mean is no more than its largest
// term.
func anyReaches(pools []*broad, least float64) bool {
	for _, b := range pools {
		for _, c := range b.hosts {
			for _, x := range c.sum {
				if x >= least {
					return true
				}
			}
		}
	}
	return false
}

// logAlone returns the evidence of one host, counted from its first window on.
func (b *broad) logAlone(host string) float64 {
	c := b.hosts[host]
	if c == nil {
		return 0
	}
	var gain vector
	return logMix(&b.weights, &c.sum, &gain)
}

// drop forgets a host: the evidence is what it would be, had the host not been there. What each
// other host's absence would change is known since now only; it limits a score, and decides
// nothing.
func (b *broad) drop(host string) {
	c := b.hosts[host]
	if c == nil {
		return
	}
	b.total, b.gain = c.without(&b.total), c.gain
	delete(b.hosts, host)
	for _, other := range b.hosts {
		other.gain = b.gain
	}
}

// apart is what a judge does that knows its evidence by host.
type apart interface {
	// outlier names the host whose canary alone is bad, and says how that is known; "" if none.
	outlier(now time.Duration) (host, reason string)
	// exclude forgets a host.
	exclude(host string)
}

// outlier asks the gates that are acted on for a host whose canary alone is bad.
func (p *Panel) outlier(now time.Duration) (host, reason string) {
	for _, s := range p.seats {
		j, knows := s.judge.(apart)
		if s.Observe || !knows {
			continue
		}
		if host, reason := j.outlier(now); host != "" {
			return host, s.Name + ": " + reason
		}
	}
	return "", ""
}

// Exclude forgets a host that the rollout goes on without; its later reports are not to be
// observed. The step has to begin again, for its totals and the evidence of safety are of all
// hosts: see Restart.
func (p *Panel) Exclude(host string) {
	for _, s := range p.seats {
		if j, knows := s.judge.(apart); knows {
			j.exclude(host)
		}
	}
}

// ObserveApart takes in a report's signals and usage only: where hosts are compared with hosts,
// their requests reach the panel as those of one, and feedback comes from no host at all.
func (p *Panel) ObserveApart(r Report) {
	for _, s := range p.seats {
		said := false
		switch j := s.judge.(type) {
		case *usageJudge:
			said = j.observe(r)
		case *rateJudge:
			said = j.signal != "" && j.observe(r)
		}
		if said {
			s.heard = max(s.heard, r.At)
		}
	}
}

func (j *Judge) outlier(time.Duration) (host, reason string) {
	host, alone, found := outlierOf([]*broad{j.errors.worse.aided()}, j.config)
	if !found {
		return "", ""
	}
	heard := len(j.errors.worse.hosts)
	if j.config.MaxIncrease > 0 && j.errors.beyond.aided().logAlone(host) < j.config.leastAlone(heard) {
		return "", ""
	}
	return host, strangeness(alone, j.config.among(heard))
}

func (j *Judge) exclude(host string) {
	delete(j.hosts, host)
	j.errors.worse.drop(host)
	j.errors.beyond.drop(host)
}

func (j *latencyJudge) outlier(time.Duration) (host, reason string) {
	host, alone, found := outlierOf(j.broads(), j.config)
	if !found {
		return "", ""
	}
	return host, strangeness(alone, j.config.among(len(j.bands[0].worse.hosts)))
}

func (j *latencyJudge) exclude(host string) {
	delete(j.hosts, host)
	delete(j.spoken, host)
	for k := range j.bands {
		j.bands[k].worse.drop(host)
	}
}

// broads are the bands' evidence for a roll-back, as far as thresholds are known.
func (j *latencyJudge) broads() []*broad {
	pools := []*broad{j.bands[0].worse.aided()}
	for k := 1; k < j.cuts.known; k++ {
		pools = append(pools, j.bands[k].worse.aided())
	}
	return pools
}

func (j *usageJudge) outlier(now time.Duration) (host, reason string) {
	return j.strange(now, j.survey())
}

// strange is the outlier that follows from a survey and from how often canary was throttled.
func (j *usageJudge) strange(now time.Duration, s survey) (host, reason string) {
	if s.served < fewestHosts {
		return "", ""
	}
	if s.over == 1 && s.growing == 1 {
		return s.first, "its canary holds more memory than allowed for " + sustained.String() + ", no other host's does"
	}
	return j.throttled.outlier(now)
}

func (j *usageJudge) exclude(host string) {
	delete(j.hosts, host)
	j.throttled.exclude(host)
}

// strangeness says how sure it is that one of so many hosts is apart.
func strangeness(alone float64, hosts int) string {
	return "a healthy host among " + strconv.Itoa(hosts) + " would look so bad at most once in " +
		odds(alone-math.Log(float64(hosts))) + " rollouts, and the others look well"
}
