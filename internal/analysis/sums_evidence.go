package analysis

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
)

// Evidence is a pool of evidence over the grid of odds ratios. A row of numbers begins with the
// index of its first; what is not there is 0. Hosts, if the pool knows them, is how many
// contributed, and Parts are those that a decision looks at one by one.
type Evidence struct {
	Total []int64         `json:"total,omitempty"`
	Gain  []int64         `json:"gain,omitempty"`
	Hosts int             `json:"hosts,omitempty"`
	Parts map[string]Part `json:"parts,omitempty"`
}

// Part is what one host added to a pool, and the pool's gain had the host not been there; nil if
// that is the same.
type Part struct {
	Sum  []int64 `json:"sum,omitempty"`
	Gain []int64 `json:"gain,omitempty"`
}

// Private

// mostStrangers bounds the hosts of sums that come from elsewhere.
const mostStrangers = 1 << 20

func crowd(counts ...int) error {
	for _, n := range counts {
		if n < 0 || n > mostStrangers {
			return fmt.Errorf("its sums are of %d hosts", n)
		}
	}
	return nil
}

// stranger names a host of which no more is known than that it was there; no host is called so.
func stranger(k int) string { return "\x00" + strconv.Itoa(k) }

// sums renders a pool, with the parts of these hosts.
func (b *broad) sums(hosts ...string) Evidence {
	e := b.pool.sums()
	e.Hosts = len(b.hosts)
	for _, name := range hosts {
		c := b.hosts[name]
		if c == nil {
			continue
		}
		part := Part{Sum: quanta(&c.sum, nil)}
		if gain := quanta(&c.gain, &b.weights); !slices.Equal(gain, e.Gain) {
			part.Gain = gain
		}
		if e.Parts == nil {
			e.Parts = map[string]Part{}
		}
		e.Parts[name] = part
	}
	return e
}

func (p *pool) sums() Evidence {
	return Evidence{Total: quanta(&p.total, nil), Gain: quanta(&p.gain, &p.weights)}
}

// pool fills a new pool.
func (e Evidence) pool(p *pool) error {
	var err error
	p.total, err = fromQuanta(e.Total)
	gain, wrong := fromQuanta(e.Gain)
	p.gain = gain
	return errors.Join(err, wrong)
}

// broad fills a new pool that knows hosts. Of those that are no parts nothing is known but that none
// makes more of a difference: without one of them the evidence is not to be the least.
func (e Evidence) broad(b *broad) error {
	err := errors.Join(e.pool(&b.pool), crowd(e.Hosts))
	if err != nil || e.Hosts < len(e.Parts) {
		return errors.Join(err, crowd(e.Hosts-len(e.Parts)))
	}
	for name, part := range e.Parts {
		c := &contribution{gain: b.gain}
		if part.Gain != nil {
			gain, wrong := fromQuanta(part.Gain)
			c.gain, err = gain, errors.Join(err, wrong)
		}
		sum, wrong := fromQuanta(part.Sum)
		c.sum, err = sum, errors.Join(err, wrong)
		b.hosts[name] = c
	}
	const most = 1e9
	other := &contribution{}
	for k := range other.gain {
		other.gain[k] = most
	}
	for k := range e.Hosts - len(e.Parts) {
		b.hosts[stranger(k)] = other
	}
	return err
}

// quanta renders a vector: the index of the first number that is not 0, and the numbers from there
// to the last; nil if there is none. What has no weight is left out.
func quanta(v, weights *vector) []int64 {
	first, row := 0, []int64(nil)
	last := 0
	for k, x := range v {
		if x == 0 || weights != nil && math.IsInf(weights[k], -1) {
			x = 0
		}
		if x != 0 && row == nil {
			first = k
		}
		if x != 0 || row != nil {
			row = append(row, int64(x/quantum))
		}
		if x != 0 {
			last = len(row)
		}
	}
	if row == nil {
		return nil
	}
	return append([]int64{int64(first)}, row[:last]...)
}

// fromQuanta reads what quanta rendered.
func fromQuanta(row []int64) (vector, error) {
	var v vector
	if len(row) == 0 {
		return v, nil
	}
	first := row[0]
	if first < 0 || first > points || int(first)+len(row)-1 > points {
		return v, fmt.Errorf("its sums have %d numbers from %d on; there are %d odds ratios", len(row)-1, first, points)
	}
	for k, n := range row[1:] {
		v[int(first)+k] = float64(n) * quantum
	}
	return v, nil
}

// named are the hosts without repetition.
func named(hosts ...string) []string {
	set := map[string]bool{}
	for _, h := range hosts {
		if h != "" {
			set[h] = true
		}
	}
	return slices.Sorted(maps.Keys(set))
}

// size is about how many bytes sums take in JSON.
func (s *Sums) size() int {
	n := 500
	switch {
	case s.Left:
		return 0
	case s.Rate != nil:
		n += s.Rate.size()
	case s.Usage != nil:
		n += 400 + s.Usage.Throttled.size()
	case s.Condition != nil:
		n += len(s.Condition.Text) + len(s.Condition.Missing)
	case s.Latency != nil:
		for _, b := range s.Latency.Bands {
			n += 250 + evidenceSize(b.Worse, b.Safer, b.Odds)
		}
	}
	return n
}

func (s *RateSums) size() int {
	return 400 + evidenceSize(s.Worse, s.Beyond, s.Safer, s.Within, s.Odds)
}

func rowSize(row []int64) int {
	n := 10
	for _, x := range row {
		n += 1 + len(strconv.FormatInt(x, 10))
	}
	return n
}

func evidenceSize(all ...Evidence) int {
	n := 0
	for _, e := range all {
		n += 40 + rowSize(e.Total) + rowSize(e.Gain)
		for name, p := range e.Parts {
			n += 20 + 2*len(name) + rowSize(p.Sum) + rowSize(p.Gain)
		}
	}
	return n
}
