package coordinator

import (
	"math"
	"time"

	"github.com/serin-rollouts/serin/internal/wire"
)

// lately is the time after which what a host has served counts a third.
const lately = 2 * time.Minute

// meter tells from a host's counters how many requests a service gets there.
type meter struct {
	service     string
	incarnation string
	total       int64
	read        time.Duration

	served, seconds float64 // both fading
}

// perSecond returns the requests a second; 0 if that is not known yet.
func (m meter) perSecond() float64 {
	if m.seconds == 0 {
		return 0
	}
	return m.served / m.seconds
}

// Private

// readMeters takes in what a host's services have served by now.
func (h *host) readMeters(services []wire.ServiceHealth, now time.Duration) {
	meters := make([]meter, 0, len(services))
	for _, x := range services {
		m := meter{service: x.Service}
		for _, known := range h.meters {
			if known.service == x.Service {
				m = known
			}
		}
		m.turn(x.Incarnation, servedBy(x), now)
		meters = append(meters, m)
	}
	h.meters = meters
}

// servedBy sums all requests of a service on a host.
func servedBy(x wire.ServiceHealth) int64 {
	all := x.CanaryCounts.Requests
	for _, c := range x.StableCounts {
		all += c.Requests
	}
	return all
}

// turn takes in a counter. One that has begun again, or lost a container's part, is counted from then on.
func (m *meter) turn(incarnation string, total int64, now time.Duration) {
	if m.incarnation == incarnation && total >= m.total && now > m.read {
		past := now - m.read
		keep := math.Exp(-past.Seconds() / lately.Seconds())
		m.served = m.served*keep + float64(total-m.total)
		m.seconds = m.seconds*keep + past.Seconds()
	}
	m.incarnation, m.total, m.read = incarnation, total, now
}

// traffic sums what hosts get of a service, in requests a second; 0 if that is not known.
func (f *fleet) traffic(service string, hosts []string) float64 {
	all := 0.0
	for _, name := range hosts {
		h := f.hosts[name]
		if h == nil {
			continue
		}
		for _, m := range h.meters {
			if m.service == service {
				all += m.perSecond()
			}
		}
	}
	return all
}
