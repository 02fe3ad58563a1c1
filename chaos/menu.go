package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/serin-rollouts/serin/chaos/check"
	"github.com/serin-rollouts/serin/chaos/workload"
	"github.com/serin-rollouts/serin/internal/localfleet"
)

// Private

// dish is a version with its ill, and how often it is chosen.
type dish struct {
	localfleet.Version

	ill   string
	often int
}

// good are the versions that nothing is wrong with. The first is installed.
var good = []string{"v1", "v2", "v3"} //nolint:gochecknoglobals // constant

// menu is what operators roll out. Ills that the errors gate or the deaths of
// containers must find have the names that package check knows.
func menu() []dish {
	version := func(tag string, m localfleet.Manners) localfleet.Version {
		return localfleet.Version{Tag: tag, Manners: m}
	}
	const errors, broken, leak, late = 40, 95, 40, 300 * time.Millisecond
	return []dish{
		{version(good[0], localfleet.Manners{}), "", 3},
		{version(good[1], localfleet.Manners{}), "", 3},
		{version(good[2], localfleet.Manners{}), "", 3},
		{version("abrupt", localfleet.Manners{Abrupt: true}), "ends at once", 2},
		{version("deaf", localfleet.Manners{Deaf: true}), "does not hear SIGTERM", 2},
		{version("late", localfleet.Manners{Late: late}), "is late", 1},
		{version("dies", localfleet.Manners{DiesAt: 1}), "dies", 2},
		{version("hangs", localfleet.Manners{Hangs: true}), check.Hanging, 1},
		{localfleet.Version{Tag: "leaks", LeakMiB: leak}, "leaks", 2},
		{localfleet.Version{Tag: "errs", ErrorPercent: errors}, "errs", 2},
		{localfleet.Version{Tag: "broken", ErrorPercent: broken}, "errs", 2},
	}
}

// everything is the name of the whole menu.
const everything = "all"

// dishes are what operators of this run roll out: all of the menu, or the good versions
// and those that are named, which then are half of all rollouts or more.
func (o Options) dishes() ([]dish, error) {
	if o.Versions == everything {
		return menu(), nil
	}
	const often = 3
	chosen := slices.DeleteFunc(menu(), func(d dish) bool { return d.ill != "" })
	for i := range chosen {
		chosen[i].often = 1
	}
	for name := range strings.SplitSeq(o.Versions, ",") {
		named := func(d dish) bool { return d.Tag == name }
		if slices.ContainsFunc(chosen, named) {
			return nil, fmt.Errorf("%s is rolled out anyway, or named twice", name)
		}
		i := slices.IndexFunc(menu(), named)
		if i < 0 {
			return nil, fmt.Errorf("there is no version %q; known are %s, %s", name, everything, strings.Join(ills(), ", "))
		}
		ill := menu()[i]
		ill.often = often
		chosen = append(chosen, ill)
	}
	return chosen, nil
}

// deadline bounds each rollout.
const deadline = 90 * time.Second

// service is the i-th one that operators roll out. Its first step is on two hosts: the
// errors gate takes some minutes to tell a version that fails some of its requests on
// a single one from a bad minute there.
func (r *storm) service(i int, chance *rand.Rand) workload.Service {
	name := fmt.Sprintf("shop%d", i+1)
	var mu sync.Mutex // two operators choose
	return workload.Service{
		Name: name,
		File: func(version string) string {
			return fmt.Sprintf(`service: %s
image: %s
hosts: {labels: {role: web}}
listen: ":%d"
container: {port: %d, env: {%s: %s}, memory: 64m, stop_grace: 2s, drain_limit: 10s, health: {path: %s}}
steps: [{hosts: %d, weight: 20%%}, {weight: 40%%}, {weight: 100%%, hold: 1s}]
gates: {errors: {max_increase: 20%%, min_requests: 20}}
deadline: %s
`, name, r.fleet.Image(version), firstPort+i, localfleet.AppPort, localfleet.ServiceVariable, name, localfleet.HealthPath, min(2, r.Hosts), deadline)
		},
		Next: func() workload.Choice {
			mu.Lock()
			defer mu.Unlock()
			return choose(r.dishes, chance)
		},
		Rest: func() time.Duration {
			mu.Lock()
			defer mu.Unlock()
			return rest(chance)
		},
	}
}

// rest is how long nothing is rolled out: mostly shortly, and now and then for so long
// that what the last rollout left is seen.
func rest(chance *rand.Rand) time.Duration {
	const seldom, short, long = 10, 2 * time.Second, 30 * time.Second
	if chance.IntN(seldom) == 0 {
		return long
	}
	return time.Duration(chance.Int64N(int64(short)))
}

func choose(from []dish, chance *rand.Rand) workload.Choice {
	total := 0
	for _, d := range from {
		total += d.often
	}
	at := chance.IntN(total)
	for _, d := range from {
		if at -= d.often; at < 0 {
			return workload.Choice{Version: d.Tag, Ill: d.ill}
		}
	}
	return workload.Choice{Version: good[0]}
}
