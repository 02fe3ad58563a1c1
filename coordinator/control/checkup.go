package control

import (
	"cmp"
	"fmt"
	"time"

	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/rollout"
)

const (
	// behindBy is how many entries a replica may be behind that is just busy.
	behindBy = 1000
	// silentFor is how long a replica may go without hearing its leader: many
	// elections would have passed.
	silentFor = 10 * time.Second
)

// Room on a disk, whichever is less, below which it is worth a word, and below
// which the next write may fail.
const (
	lowRoom, lowShare   = 1 << 30, 10  // bytes, percent
	noRoom, noRoomShare = 100 << 20, 2 // likewise
	gibibyte            = float64(1 << 30)
)

// checkup says how the group, the bus and the hosts are, in the order in which
// one is of use without the next.
func checkup(s *rollout.State, c api.ClusterStatus, v View, version string) api.Checkup {
	up := api.Checkup{Leader: c.Leader, Version: version, Checks: []api.Check{checkGroup(s, c)}}
	for _, m := range c.Members {
		up.Checks = append(up.Checks, checkReplica(m, c, version))
	}
	up.Checks = append(up.Checks, checkEvents(c))
	up.Checks = append(up.Checks, checkHosts(s, v, version)...)
	return up
}

// Private

func checkGroup(s *rollout.State, c api.ClusterStatus) api.Check {
	voters, answering, level := 0, 0, 0
	for _, m := range c.Members {
		if m.Voter {
			voters++
		}
		if m.Voter && (m.Leader || m.Standing != nil) {
			answering++
		}
		if m.Leader && m.Standing != nil {
			level = m.Standing.Level
		}
	}
	spare := answering - voters/2 - 1
	k := api.Check{About: "group", Grade: api.GradeOK, Text: fmt.Sprintf("%s leads in term %d; %d of %d voters answer, and it bears the loss of %d", c.Leader, c.Term, answering, voters, spare)}
	switch {
	case spare <= 0 && voters > 1:
		k.Grade, k.Next = api.GradeWarn, "nothing is decided once one more replica is away: bring back what is missing, or let another one join (`serin cluster add`)"
	case s.AtLevel() < level:
		k.Grade = api.GradeWarn
		k.Text += fmt.Sprintf("; it works as an earlier release does (level %d of %d)", s.AtLevel(), level)
		k.Next = "upgrade every replica; what is new waits for the last one"
	}
	return k
}

func checkReplica(m api.ClusterMember, c api.ClusterStatus, version string) api.Check {
	k := api.Check{About: "replica " + m.ID, Grade: api.GradeOK}
	st := m.Standing
	if st == nil {
		k.Grade, k.Text = api.GradeFail, "does not answer at "+m.Addr
		k.Next = fmt.Sprintf("start serin-coordinator there, and look at its log; if it is gone for good: `serin cluster remove %s`", m.ID)
		return k
	}
	k.Text = fmt.Sprintf("%s, %s, entry %d", cmp.Or(st.Role, "of no role"), cmp.Or(st.Version, "of no version"), st.Applied)
	worry := func(g, next, format string, args ...any) {
		k.Text += "; " + fmt.Sprintf(format, args...)
		if g == api.GradeFail || k.Grade == api.GradeOK {
			k.Grade, k.Next = g, next
		}
	}
	heard := time.Duration(st.Contact) * time.Millisecond
	switch {
	case m.Leader:
	case st.Contact < 0, heard > silentFor:
		worry(api.GradeFail, "can it reach "+c.Leader+" at its Raft address (raft.listen), and be reached?", "has not heard the leader %s", lately(st.Contact))
	case st.Applied+behindBy < c.Applied:
		worry(api.GradeWarn, "if it does not catch up within minutes, look at its disk and its log", "is %d entries behind", c.Applied-st.Applied)
	}
	if st.Embedded && !st.Streams {
		worry(api.GradeFail, "events and triggers wait: can the servers reach each other (nats.cluster, nats.routes)?", "JetStream of its server has no leader")
	}
	if !m.Voter {
		worry(api.GradeWarn, "it votes once it has caught up", "is joining")
	}
	if st.Version != version {
		worry(api.GradeWarn, "upgrade it, or the leader", "the leader is of %s", cmp.Or(version, "no version"))
	}
	if g, text := room(st.Disk); g != api.GradeOK {
		worry(g, "make room where its data is (`data` in coordinator.yaml)", "%s on its disk", text)
	}
	return k
}

func lately(contactMS int64) string {
	if contactMS < 0 {
		return "since it started"
	}
	return "for " + span(time.Duration(contactMS)*time.Millisecond)
}

func checkEvents(c api.ClusterStatus) api.Check {
	if c.Outbox == 0 {
		return api.Check{About: "events", Grade: api.GradeOK, Text: fmt.Sprintf("the stream has all %d", c.Events)}
	}
	return api.Check{
		About: "events", Grade: api.GradeWarn, Text: fmt.Sprintf("%d of %d wait to be published", c.Outbox, c.Events),
		Next: "does JetStream run, has it room, and may the coordinators publish? They go out by themselves when it does",
	}
}

// room judges what is left of a disk; nil is not known, which is well.
func room(d *api.Disk) (grade, why string) {
	if d == nil {
		return api.GradeOK, ""
	}
	text := fmt.Sprintf("%.1f of %.1f GiB are free", float64(d.Free)/gibibyte, float64(d.Size)/gibibyte)
	const percent = 100
	switch {
	case d.Free < min(noRoom, d.Size/percent*noRoomShare):
		return api.GradeFail, text
	case d.Free < min(lowRoom, d.Size/percent*lowShare):
		return api.GradeWarn, text
	}
	return api.GradeOK, text
}
