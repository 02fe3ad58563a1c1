package control

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// askewBy is how far a host's clock may be off: what a report takes on its way
// counts, too.
const askewBy = 2 * time.Second

// checkHosts looks at all hosts: first whether they report, then, of those that
// do, at one thing after the other.
func checkHosts(s *rollout.State, v View, version string) []api.Check {
	all := hostStatuses(s, v)
	if len(all) == 0 {
		return []api.Check{{
			About: "hosts", Grade: api.GradeWarn, Text: "none has reported",
			Next: "start serin-agent on a host; `serin-agent check` tries its configuration, and nats.urls has to be this bus",
		}}
	}
	live := slices.DeleteFunc(slices.Clone(all), func(h api.HostStatus) bool { return !h.Live })
	checks := []api.Check{survey{
		about: "hosts", well: fmt.Sprintf("all %d report", len(all)), ill: "are silent",
		next:  "start serin-agent there, and look at its log; a host that is gone for good is forgotten after a day",
		judge: func(h api.HostStatus) (grade, why string) { return failIf(!h.Live, "for "+span(milli(h.SeenMS))) },
	}.of(all)}
	for _, one := range surveys(live, version) {
		checks = append(checks, one.of(live))
	}
	return checks
}

// survey is one thing that is looked at on every host.
type survey struct {
	about string
	well  string // if no host has anything
	ill   string // "2 of 12 ..."
	next  string
	judge func(api.HostStatus) (grade, why string)
}

func surveys(live []api.HostStatus, version string) []survey {
	return []survey{{
		about: "clocks", well: "none is off by more than " + askewBy.String(), ill: "are off by more than " + askewBy.String(),
		next: "let NTP set them right; nothing is decided by them, but times that are shown are wrong, and certificates may seem to have ended",
		judge: func(h api.HostStatus) (grade, why string) {
			off := milli(h.SkewMS)
			way := " ahead"
			if off < 0 {
				way = " behind"
			}
			return warnIf(off.Abs() > askewBy, span(off.Abs())+way)
		},
	}, {
		about: "agents", well: "all are of " + cmp.Or(version, "no version"), ill: "are of another release than the leader",
		next:  "upgrade them; two neighbouring releases work together",
		judge: func(h api.HostStatus) (grade, why string) { return warnIf(h.Version != version, h.Version) },
	}, {
		about: "docker", well: tally(live, func(h api.HostStatus) string { return h.Docker }), ill: "cannot use Docker",
		next:  "start Docker there; `serin-agent check` on the host tries it",
		judge: func(h api.HostStatus) (grade, why string) { return failIf(h.DockerProblem != "", h.DockerProblem) },
	}, {
		about: "haproxy", well: tally(live, func(h api.HostStatus) string { return h.HAProxy }), ill: "cannot use HAProxy",
		next:  "`serin-agent check` on the host tries it; its own log says why HAProxy does not start or answer",
		judge: func(h api.HostStatus) (grade, why string) { return failIf(h.HAProxyProblem != "", h.HAProxyProblem) },
	}, {
		about: "disks", well: "there is room for the state of all that tell", ill: "have little room for their state",
		next:  "make room where `data` of agent.yaml is; an assignment that cannot be written down is not carried out",
		judge: func(h api.HostStatus) (grade, why string) { return room(h.Disk) },
	}, {
		about: "services", well: "no host has a problem with one", ill: "have a problem with a service",
		next: "`serin hosts HOST` shows all of it; hosts try again by themselves", judge: troubled,
	}, {
		about: "versions", well: "no host is held back", ill: "keep an older version",
		next: "`serin release SERVICE HOST` gives a host the stable version; `serin status` says why it was left out", judge: heldBack,
	}}
}

// of asks every host, and names the first.
func (y survey) of(hosts []api.HostStatus) api.Check {
	k := api.Check{About: y.about, Grade: api.GradeOK, Text: y.well}
	for _, h := range hosts {
		g, why := y.judge(h)
		if g == api.GradeOK {
			continue
		}
		if k.Grade != api.GradeFail {
			k.Grade = g
		}
		if k.Count++; k.Count <= api.MostNamed {
			k.Hosts = append(k.Hosts, api.UnwellHost{Host: h.Host, Why: why})
		}
	}
	if k.Count > 0 {
		k.Text, k.Next = fmt.Sprintf("%d of %d hosts %s", k.Count, len(hosts), y.ill), y.next
	}
	return k
}

func troubled(h api.HostStatus) (grade, why string) {
	for _, x := range h.Services {
		if x.Problem != "" {
			head, _, _ := strings.Cut(x.Problem, "\n")
			return api.GradeFail, x.Service + ": " + head
		}
	}
	return api.GradeOK, ""
}

func heldBack(h api.HostStatus) (grade, why string) {
	var names []string
	for _, x := range h.Services {
		if x.Held {
			names = append(names, x.Service)
		}
	}
	return warnIf(len(names) > 0, strings.Join(names, ", "))
}

func failIf(ill bool, what string) (grade, why string) { return gradeIf(ill, api.GradeFail), what }

func warnIf(ill bool, what string) (grade, why string) { return gradeIf(ill, api.GradeWarn), what }

func gradeIf(ill bool, g string) string {
	if ill {
		return g
	}
	return api.GradeOK
}

// tally counts the hosts by a version, the most first: 20.10.24 on 11, 28.5.2 on 1.
func tally(hosts []api.HostStatus, of func(api.HostStatus) string) string {
	const most = 4
	counts := map[string]int{}
	for _, h := range hosts {
		counts[cmp.Or(of(h), "not seen yet")]++
	}
	var names []string
	for name := range counts {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(counts[b]-counts[a], strings.Compare(a, b)) })
	var parts []string
	for _, name := range names[:min(most, len(names))] {
		parts = append(parts, fmt.Sprintf("%s on %d", name, counts[name]))
	}
	if more := len(names) - most; more > 0 {
		parts = append(parts, fmt.Sprintf("%d more versions", more))
	}
	return strings.Join(parts, ", ")
}

func milli(ms int64) time.Duration { return time.Duration(ms) * time.Millisecond }

// span renders a time in words, without digits that nobody needs.
func span(d time.Duration) string {
	const fine = 10 * time.Second
	if d < fine {
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}
