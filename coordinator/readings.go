package coordinator

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/serin-rollouts/serin/internal/condition"
	"github.com/serin-rollouts/serin/internal/wire"
)

// readingsLast is how long a host's readings count: a host that fell silent has
// nothing to say about now.
const readingsLast = 30 * time.Second

// readings are what the containers of each host last said of themselves.
type readings map[string]hostReadings

type hostReadings struct {
	at  time.Duration
	all []wire.Reading
}

// note keeps what a host says; nothing new leaves what it said.
func (r readings) note(host string, all []wire.Reading, now time.Duration) {
	if len(all) > 0 {
		r[host] = hostReadings{now, all}
	}
}

// values pools a gate's readings over the fleet, and tells them in words.
func (r readings) values(gate string, now time.Duration) (condition.Values, string) {
	type key struct{ track, variable string }
	sums := map[key]wire.Spread{}
	for _, host := range slices.Sorted(maps.Keys(r)) { // sums of floats depend on their order
		h := r[host]
		if now-h.at > readingsLast {
			continue
		}
		for _, x := range h.all {
			if x.Gate == gate {
				canary, stable := key{condition.Canary, x.Variable}, key{condition.Stable, x.Variable}
				sums[canary] = join(sums[canary], x.Canary)
				sums[stable] = join(sums[stable], x.Stable)
			}
		}
	}
	var values condition.Values
	var told []string
	for k, s := range sums {
		if s.Containers > 0 {
			values.Spread(k.track, k.variable, s.Containers, s.Sum, s.Min, s.Max)
			told = append(told, figure(k.track+"."+k.variable, s.Sum/float64(s.Containers)))
		}
	}
	slices.Sort(told)
	return values, strings.Join(told, ", ")
}

// Private

func join(a, b wire.Spread) wire.Spread {
	switch {
	case b.Containers == 0:
		return a
	case a.Containers == 0:
		return b
	}
	return wire.Spread{Containers: a.Containers + b.Containers, Sum: a.Sum + b.Sum, Min: min(a.Min, b.Min), Max: max(a.Max, b.Max)}
}
