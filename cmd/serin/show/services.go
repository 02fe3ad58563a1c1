package show

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// Services writes the freezes in force, one row for each service, and one for each host that does not
// follow its service.
func (o Options) Services(out io.Writer, services []api.ServiceStatus) error {
	if err := o.frozen(out, services); err != nil {
		return err
	}
	if err := o.rows(out, services); err != nil {
		return err
	}
	return o.held(out, services)
}

// History writes one row for each rollout.
func (o Options) History(out io.Writer, h api.History) error {
	header := []string{"ROLLOUT", o.Palette.paint(plain, "STATE"), "FROM", "TO", "STEP", "STARTED", "TOOK", "BY", "WHY"}
	if o.Wide {
		header = append(header, "IMAGE", "REASON")
	}
	t := newTable(out, header...)
	for _, r := range h.Rollouts {
		took := ""
		if r.Ended > 0 {
			took = Span(Milli(r.Ended - r.Started))
		}
		row := []string{
			r.ID, o.Palette.Phase(r.Phase, PhaseWords(r.Phase)), r.From, r.To, step(r),
			o.at(r.Started), took, r.By, why(r),
		}
		if o.Wide {
			row = append(row, r.Image, r.Reason)
		}
		t.row(row...)
	}
	return t.end()
}

// Hosts writes one row for each host.
func (o Options) Hosts(out io.Writer, hosts []api.HostStatus) error {
	header := []string{"HOST", o.Palette.paint(plain, "STATE"), "SEEN", "AGENT", "SERVICES"}
	if o.Wide {
		header = append(header, "DOCKER", "HAPROXY", "SKEW", "LABELS")
	}
	t := newTable(out, header...)
	for _, h := range hosts {
		state := o.Palette.paint(green, "live")
		if !h.Live {
			state = o.Palette.paint(red, "silent")
		}
		names := make([]string, 0, len(h.Services))
		for _, s := range h.Services {
			names = append(names, s.Service+hostMark(s))
		}
		row := []string{h.Host, state, Span(Milli(h.SeenMS)) + " ago", h.Version, strings.Join(names, " ")}
		if o.Wide {
			row = append(row, h.Docker, h.HAProxy, Span(Milli(h.SkewMS)), labels(h.Labels))
		}
		t.row(row...)
	}
	return t.end()
}

// Host writes all that one host says of its services.
func (o Options) Host(out io.Writer, h api.HostStatus) error {
	if err := o.Hosts(out, []api.HostStatus{h}); err != nil {
		return err
	}
	if len(h.Services) == 0 {
		return nil
	}
	if _, err := fmt.Fprintln(out); err != nil {
		return fmt.Errorf("write host: %w", err)
	}
	t := newTable(out, "SERVICE", "STABLE", "CANARY", "WEIGHT", "DEATHS", "DOING", "PROBLEM")
	for _, s := range h.Services {
		doing := s.Doing
		if doing == "" && s.Held {
			doing = "held back: serin release " + s.Service + " " + h.Host
		}
		problem := s.Problem
		if problem == "" && s.Death != "" {
			problem = "the last death: " + s.Death
		}
		t.row(s.Service, o.track(s.Stable, s.StableVersion, s.StableReady), o.track(s.Canary, s.CanaryVersion, s.CanaryReady),
			rollout.Percent(s.Weight), strconv.Itoa(s.Deaths), doing, FirstLine(problem))
	}
	return t.end()
}

// Cluster writes the coordinator's replicas.
func (o Options) Cluster(out io.Writer, c api.ClusterStatus) error {
	t := newTable(out, "REPLICA", "ADDRESS", o.Palette.paint(plain, "ROLE"), "VERSION", "LOG", "LEADER", "NATS")
	for _, m := range c.Members {
		role := o.Palette.paint(plain, "joining")
		switch {
		case m.Leader:
			role = o.Palette.paint(green, "leader")
		case m.Voter:
			role = o.Palette.paint(plain, "voter")
		}
		t.row(append([]string{m.ID, m.Addr, role}, standing(m.Standing, c)...)...)
	}
	if err := t.end(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, "\nterm %d, entry %d applied, %s, %s live\n%s",
		c.Term, c.Applied, count(c.Events, "event"), count(c.Hosts, "host"), unpublished(c.Outbox))
	if err != nil {
		return fmt.Errorf("write cluster: %w", err)
	}
	return nil
}

// WaitsForYou reports whether nothing but a person's approval is missing. What
// a person has paused wants to be resumed first.
func WaitsForYou(r api.RolloutStatus) bool {
	return r.Phase == rollout.Paused && r.Cause == rollout.CauseApproval
}

// Private

// standing is what a replica says of itself: its version, how far its log is, when
// it heard of its leader, and its server of NATS.
func standing(s *api.Standing, c api.ClusterStatus) []string {
	if s == nil {
		return []string{"", "", "", "does not answer"}
	}
	log := fmt.Sprintf("entry %d", s.Applied)
	if s.Applied < c.Applied {
		log += fmt.Sprintf(", %d behind", c.Applied-s.Applied)
	}
	heard := "is it"
	switch {
	case s.Contact < 0:
		heard = "not heard"
	case s.Contact > 0:
		heard = Span(Milli(s.Contact)) + " ago"
	case s.Role != "leader":
		heard = "0s ago"
	}
	nats := s.NATS
	switch {
	case s.Embedded && s.Streams:
		nats = fmt.Sprintf("embedded, JetStream of %d", s.Peers)
	case s.Embedded:
		nats = "embedded, JetStream has no leader"
	}
	if s.Reconnects > 0 {
		nats += ", reconnected " + count(s.Reconnects, "time")
	}
	return []string{s.Version, log, heard, nats}
}

func (o Options) rows(out io.Writer, services []api.ServiceStatus) error {
	header := []string{"SERVICE", "STABLE", "ROLLOUT", o.Palette.paint(plain, "STATE"), "TO", "STEP", "TRAFFIC", "WAITING"}
	if o.Wide {
		header = append(header, "P99", "HOSTS", "EPOCH", "NEXT", "IMAGE")
	}
	t := newTable(out, header...)
	for _, s := range services {
		row := append([]string{s.Service, versionOf(s.Stable)}, o.rolloutCells(s.Rollout)...)
		if o.Wide {
			row = append(row, slowestOf(s.Rollout), strconv.Itoa(s.Hosts), strconv.FormatUint(s.Epoch, 10), s.Next, imageOf(s))
		}
		t.row(row...)
	}
	return t.end()
}

// unpublished tells of events that observers do not see yet; empty without any.
func unpublished(n int) string {
	switch n {
	case 0:
		return ""
	case 1:
		return "1 event waits to be published\n"
	}
	return count(n, "event") + " wait to be published\n"
}

// count renders a number of things: 1 host, 2 hosts.
func count[T int | uint64](n T, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}

// rolloutCells are ROLLOUT, STATE, TO, STEP, TRAFFIC and WAITING.
func (o Options) rolloutCells(r *api.RolloutStatus) []string {
	if r == nil {
		return []string{"", o.Palette.paint(plain, "-"), "", "", "", ""}
	}
	state, waiting := PhaseWords(r.Phase), r.Waiting
	if WaitsForYou(*r) {
		waiting = "for you: serin promote " + r.ID
	}
	traffic := ""
	if !r.Phase.Final() {
		traffic = Reach(*r)
	}
	return []string{r.ID, o.Palette.Phase(r.Phase, state), r.To, step(*r), traffic, FirstLine(waiting)}
}

// slowestOf is empty where nothing is known of either side.
func slowestOf(r *api.RolloutStatus) string {
	if r == nil || r.Latency == nil || r.Latency.Canary.P99 == 0 && r.Latency.Stable.P99 == 0 {
		return ""
	}
	return Slowest(r.Latency)
}

func step(r api.RolloutStatus) string {
	if r.Phase == rollout.Succeeded || r.Steps == 0 {
		return ""
	}
	return fmt.Sprintf("%d/%d", r.Step, r.Steps)
}

// why says why a rollout stands or has ended as it did or, where nothing has
// come in its way, what it was started for; which freezes it went through; and which hosts it has lost.
func why(r api.RolloutStatus) string {
	text := FirstLine(cmp.Or(r.Text, string(r.Cause), r.Reason))
	if r.Override != "" {
		text = strings.TrimPrefix(text+" (although "+r.Override+")", " ")
	}
	hosts := slices.Clone(r.Lost)
	for _, x := range r.Excluded {
		hosts = append(hosts, x.Host)
	}
	if len(hosts) == 0 {
		return text
	}
	without := "without " + listed(hosts)
	if text == "" {
		return without
	}
	return text + "; " + without
}

func versionOf(r *api.Revision) string {
	if r == nil {
		return ""
	}
	return r.Version
}

func imageOf(s api.ServiceStatus) string {
	switch {
	case s.Running && s.Rollout != nil:
		return s.Rollout.Image
	case s.Stable != nil:
		return s.Stable.Image
	}
	return ""
}

// hostMark says with one sign that a service on a host is not at rest.
func hostMark(s api.HostService) string {
	switch {
	case s.Problem != "":
		return "!"
	case s.Canary != "":
		return "+"
	case s.Held:
		return "="
	case !s.Settled || s.Behind:
		return "~"
	}
	return ""
}

// track names what runs: by its version, and by its id where that is asked for or
// all that is known.
func (o Options) track(revision, version string, ready int) string {
	if revision == "" {
		return ""
	}
	name := cmp.Or(version, revision)
	if o.Wide && version != "" {
		name += " " + revision
	}
	return fmt.Sprintf("%s (%d ready)", name, ready)
}

func labels(m map[string]string) string {
	pairs := make([]string, 0, len(m))
	for _, k := range sortedKeys(m) {
		pairs = append(pairs, k+"="+m[k])
	}
	return strings.Join(pairs, ",")
}
