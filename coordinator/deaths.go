package coordinator

import "maps"

// deaths are what hosts tell of containers of the canary that died, in a rollout. A
// person who resumes it after a failure knows of those until then: they have had
// their say, as the evidence has.
type deaths struct {
	told  map[string]toll // by host
	known map[string]toll // of them, when the rollout was last resumed
}

// toll counts deaths within an incarnation: an agent that starts anew begins at 0.
type toll struct {
	incarnation string
	n           int
}

func newDeaths() *deaths { return &deaths{told: map[string]toll{}, known: map[string]toll{}} }

// count takes in how many a host tells of, and returns how many of them are new.
func (d *deaths) count(host, incarnation string, n int) int {
	d.told[host] = toll{incarnation, n}
	if k := d.known[host]; k.incarnation == incarnation {
		return max(0, n-k.n)
	}
	return n
}

// resume makes all that were told of known ones.
func (d *deaths) resume() { d.known = maps.Clone(d.told) }
