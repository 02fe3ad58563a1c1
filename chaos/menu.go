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

// dish is a version with its ill, how often it is chosen, and what else goes with it
// (workload.Choice).
type dish struct {
	localfleet.Version

	ill       string
	often     int
	harmless  bool
	approvals []int
	wide      bool
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
		{Version: version(good[0], localfleet.Manners{}), often: 3, harmless: true},
		{Version: version(good[1], localfleet.Manners{}), often: 3, harmless: true, approvals: []int{1, 2}},
		{Version: version(good[2], localfleet.Manners{}), often: 3, harmless: true, approvals: []int{2, 3}},
		{Version: version("abrupt", localfleet.Manners{Abrupt: true}), ill: "ends at once", often: 2, harmless: true, approvals: []int{1}},
		{Version: version("deaf", localfleet.Manners{Deaf: true}), ill: "does not hear SIGTERM", often: 2, harmless: true},
		{Version: version("late", localfleet.Manners{Late: late}), ill: "is late", often: 1, harmless: true, approvals: []int{3}},
		{Version: version("dies", localfleet.Manners{DiesAt: 1}), ill: "dies", often: 2},
		{Version: version("hangs", localfleet.Manners{Hangs: true}), ill: check.Hanging, often: 1},
		{Version: localfleet.Version{Tag: "leaks", LeakMiB: leak}, ill: "leaks", often: 2, approvals: []int{1}},
		{Version: localfleet.Version{Tag: "errs", ErrorPercent: errors}, ill: "errs", often: 2, approvals: []int{1}},
		{Version: localfleet.Version{Tag: "broken", ErrorPercent: broken}, ill: "errs", often: 2},
		{Version: localfleet.Version{Tag: "odd", BadAt: "h3"}, ill: "errs on one host", often: 5, wide: true},
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

// service is the i-th one that operators roll out.
func (r *storm) service(i int, chance *rand.Rand) workload.Service {
	name := fmt.Sprintf("shop%d", i+1)
	var mu sync.Mutex // two operators choose
	return workload.Service{
		Name: name,
		File: func(c workload.Choice) string {
			return fmt.Sprintf(`service: %s
image: %s
hosts: {labels: {role: web}}
listen: ":%d"
container: {port: %d, env: {%s: %s}, memory: 64m, stop_grace: 2s, drain_limit: 10s, health: {path: %s}}
steps: [%s]
gates: {errors: {max_increase: 20%%, min_requests: 20}}
deadline: %s
`, name, r.fleet.Image(c.Version), firstPort+i, localfleet.AppPort, localfleet.ServiceVariable, name, localfleet.HealthPath,
				r.path(c), deadline)
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

// path is the steps of a rollout. The first is on two hosts: the errors gate takes some
// minutes to tell a version that fails some of its requests on a single one from a bad
// minute there. To tell one host from the version it needs all of them.
func (r *storm) path(c workload.Choice) string {
	steps := []string{fmt.Sprintf("hosts: %d, weight: 20%%", min(2, r.Hosts)), "weight: 40%", "weight: 100%, hold: 1s"}
	if c.Wide {
		steps = []string{"weight: 50%", "weight: 100%, hold: 1s"}
	}
	for _, step := range c.Approvals {
		steps[step-1] += ", approve: true"
	}
	return "{" + strings.Join(steps, "}, {") + "}"
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
			return d.choice()
		}
	}
	return from[0].choice()
}

func (d dish) choice() workload.Choice {
	return workload.Choice{Version: d.Tag, Ill: d.ill, Harmless: d.harmless, Approvals: d.approvals, Wide: d.wide}
}
