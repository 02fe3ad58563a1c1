package main

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"strings"
	"text/template"
	"time"

	"github.com/serin-rollouts/serin/internal/analysis"
	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/bus"
	"github.com/serin-rollouts/serin/internal/event"
	"github.com/serin-rollouts/serin/internal/rollout"
)

//go:embed nats.tmpl
var natsText string

// subject is one row of the table of subjects.
type subject struct {
	name, from, to, how, payload string
}

// Private

// natsPage fills the tables into the text of nats.tmpl.
func natsPage() ([]byte, error) {
	page := template.New("nats.md").Delims("<<", ">>").Option("missingkey=error")
	page.Funcs(template.FuncMap{
		"public":   func() string { return subjectTable(publicSubjects()) },
		"internal": func() string { return subjectTable(internalSubjects()) },
		"verbs":    verbTable,
		"gets":     getTable,
		"kinds":    kindTable,
		"causes":   func() (string, error) { return constantTable("cause", "Cause") },
		"codes":    func() (string, error) { return constantTable("code", "Code") },
		"streams":  streamTable,
		"fields":   fieldTable,
		"event":    eventExample,
	})
	if _, err := page.Parse(natsText); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err := page.Execute(&out, nil)
	return out.Bytes(), err
}

// publicSubjects are those that people, pipelines and observers use.
func publicSubjects() []subject {
	return []subject{
		{bus.TriggerSubject("<service>"), "anybody who may", "leader", "publish or request", "[a trigger](#triggers)"},
		{bus.CommandSubject("<verb>", "<service>"), "operators", "leader", "request", "[a command](#commands)"},
		{bus.GetSubject("<what>", "") + "`, `" + bus.GetSubject("<what>", "<id>"), "operators, observers", "leader", "request", "[mostly nothing](#reads)"},
		{bus.FeedbackSubject("<service>"), "whoever hears users", "every replica", "publish or request", "[what users say](#feedback)"},
		{bus.EventSubject("<service>", "<rollout>", "<kind>"), "leader", "observers", "stream", "[a CloudEvent](#events)"},
		{bus.StateSubject("<service>"), "leader", "observers", "stream, the last one is kept", "[where a service stands](#state)"},
	}
}

// internalSubjects are what coordinators and agents say to each other.
func internalSubjects() []subject {
	return []subject{
		{bus.HealthSubject("<host>"), "agent", "every replica", "publish", "`Health`: what the host is and has counted"},
		{bus.AssignSubject("<host>"), "leader", "agent", "publish", "`Assign`: all that the host should be, with `container.env`"},
		{bus.StepSubject("<service>"), "leader", "every agent", "publish", "`Wave`: lowers the canary on the whole fleet at once; never raises it"},
		{bus.BeatSubject, "leader", "every agent, every replica", "publish", "`Beat`: a leader that a majority has just confirmed is there"},
		{bus.ResolveSubject("<host>"), "leader", "agent", "request", "`Resolve`, answered by `Resolved`: what an image stands for"},
		{bus.LevelSubject("<replica>"), "leader", "replica", "request", "nothing, answered by a number: what of the log it understands"},
		{bus.StandingSubject("<replica>"), "leader", "replica", "request", "nothing, answered by its [Standing](#standing)"},
	}
}

// request is one row of the tables of commands and reads.
type request struct{ verb, object, body, reply, does string }

func verbs() []request {
	const command, reply = "[Command](#command)", "[Reply](#reply)"
	return []request{
		{api.Promote, "<service>", command + " (`full`)", reply, "gives the approval that a step waits for, or takes the next step at once; `full` skips all that is left"},
		{api.Pause, "<service>", command, reply, "holds the rollout at its step; gates watch on"},
		{api.Resume, "<service>", command, reply, "goes on"},
		{api.Abort, "<service>", command, reply, "takes the rollout back"},
		{api.Rollback, "<service>", command + " (`to`)", reply, "returns to the last good version, or to `to`"},
		{api.Release, "<service>", command + " (`host`)", reply, "gives a host the stable version that was held back from it"},
		{api.Freezing, "<service>", command + " (`for_ms`)", reply, "keeps its rollouts from beginning, for a time or until it is thawed; `_fleet` in the service's place: those of all"},
		{api.Thawing, "<service>", command, reply, "ends that; `_fleet`: the freeze of all"},
		{api.PlanVerb, "<service>", "[Trigger](#trigger)", "[Plan](#plan)", "says what such a trigger would do, and does nothing"},
		{api.Cluster, api.Add, "[Member](#member) (`id`, `addr`)", reply, "adds a replica that runs with `raft: {join: true}`"},
		{api.Cluster, api.Remove, "[Member](#member) (`id`)", reply, "takes a replica out of the group"},
		{api.Cluster, api.Transfer, "[Member](#member)", reply, "hands the leadership to a replica, or to any"},
	}
}

func gets() []request {
	return []request{
		{api.GetServices, "", "", "list of [ServiceStatus](#servicestatus)", "where every service stands"},
		{api.GetService, "<service>", "", "[ServiceStatus](#servicestatus)", "where one stands"},
		{api.GetRollout, "<id>", "", "[RolloutDetail](#rolloutdetail)", "one rollout; of a service its running or last one"},
		{api.GetExplain, "<id>", "", "[RolloutDetail](#rolloutdetail)", "the same, with every decision and its numbers"},
		{api.GetHistory, "<service>", "", "[History](#history)", "what was rolled out, the newest first"},
		{api.GetDiff, "<rollout>", "", "[Diff](#diff)", "what returning to that rollout would change; with a [DiffWith](#diffwith) as payload, how it differs from that one"},
		{api.GetHosts, "", "", "list of [HostStatus](#hoststatus)", "every host"},
		{api.GetHost, "<host>", "", "[HostStatus](#hoststatus)", "one host; dots in its name become `_`"},
		{api.GetCluster, "", "", "[ClusterStatus](#clusterstatus)", "the replicas"},
		{api.GetCheckup, "", "", "[Checkup](#checkup)", "what the leader finds of the replicas, the events and the hosts, for `serin doctor`"},
		{api.GetStanding, "", "", "[Standing](#standing)", "how each replica stands: every one answers, also while none leads"},
		{api.GetSnapshot, "", "", "[SnapshotPart](#snapshotpart)", "the first piece of a backup of the replicated state, secrets in `container.env` and all"},
		{api.GetSnapshot, "<id>-<offset>", "", "[SnapshotPart](#snapshotpart)", "a later piece"},
	}
}

// kinds says what each kind of event tells.
func kinds() map[rollout.Kind]string {
	return map[rollout.Kind]string{
		rollout.KindSubmitted:   "a trigger was accepted: a rollout begins",
		rollout.KindStep:        "a step begins; the first one when the hosts have the image",
		rollout.KindPaused:      "it is held: `cause` says whether by a person, an approval or a failure",
		rollout.KindApproved:    "a person has given the approval that a step wanted",
		rollout.KindResumed:     "a person lets it go on",
		rollout.KindRenewed:     "the evidence begins anew, since a leader took over that has not heard all of it",
		rollout.KindExcluded:    "it goes on without `host`, whose canary alone is bad",
		rollout.KindReleased:    "`host` follows the service's stable version again",
		rollout.KindLost:        "it goes on without the hosts in `lost`, which say nothing",
		rollout.KindPromoting:   "the new version becomes stable: no automatic return from here",
		rollout.KindRollingBack: "it goes back; `cause`, `verdict` and `blame` say why",
		rollout.KindSucceeded:   "the end: the new version is stable",
		rollout.KindRolledBack:  "the end: serin took it back; `zero_millis` is from the decision to weight 0 on the last host, -1 if not known",
		rollout.KindAborted:     "the end: a person, or a trigger with `replace`, took it back",
		rollout.KindFrozen:      "no rollout of the service begins from here on, of any if `<service>` is `_fleet`",
		rollout.KindThawed:      "a freeze has ended: a person says so, or its time is over",
		rollout.KindRefused:     "a trigger was not accepted; `refusal` says why",
		rollout.KindUnchanged:   "a trigger found nothing to do",
	}
}

func subjectTable(rows []subject) string {
	var b strings.Builder
	b.WriteString("| subject | from | to | kind | payload |\n|---|---|---|---|---|\n")
	for _, s := range rows {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", s.name, s.from, s.to, s.how, s.payload)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func verbTable() string {
	var b strings.Builder
	b.WriteString("| subject | body | answer | |\n|---|---|---|---|\n")
	for _, r := range verbs() {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", bus.CommandSubject(r.verb, r.object), r.body, r.reply, r.does)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func getTable() string {
	var b strings.Builder
	b.WriteString("| subject | `data` | |\n|---|---|---|\n")
	for _, r := range gets() {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", bus.GetSubject(r.verb, r.object), r.reply, r.does)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// kindTable follows the order of the constants, and lacks none.
func kindTable() (string, error) {
	s, err := parseSource("internal/rollout")
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString("| kind | |\n|---|---|\n")
	known := kinds()
	for _, c := range s.of("Kind") {
		does, ok := known[rollout.Kind(c.value)]
		if !ok {
			return "", fmt.Errorf("the kind of event %s is not described", c.value)
		}
		fmt.Fprintf(&b, "| `%s` | %s |\n", c.value, does)
	}
	return strings.TrimSuffix(b.String(), "\n"), nil
}

// constantTable lists the constants of a type of the rollout's, as their comments
// say.
func constantTable(head, kind string) (string, error) {
	s, err := parseSource("internal/rollout")
	if err != nil {
		return "", err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "| %s | |\n|---|---|\n", head)
	for _, c := range s.of(kind) {
		fmt.Fprintf(&b, "| `%s` | %s |\n", c.value, c.doc)
	}
	return strings.TrimSuffix(b.String(), "\n"), nil
}

// of are the constants of a type, in their order.
func (s *source) of(kind string) []constant {
	var all []constant
	for _, c := range s.constants {
		if c.kind == kind {
			all = append(all, c)
		}
	}
	return all
}

func streamTable() string {
	var b strings.Builder
	b.WriteString("| stream | subjects | keeps | at most | one message | `Nats-Msg-Id` is remembered |\n|---|---|---|---|---|---|\n")
	for _, s := range bus.Streams() {
		keeps := "as long as there is room"
		if s.MaxAge > 0 {
			keeps = fmt.Sprintf("%d days", s.MaxAge/(24*time.Hour))
		}
		if s.WorkQueue {
			keeps = "until a leader has taken it, " + keeps
		}
		if s.PerSubject == 1 {
			keeps = "the last one on each subject"
		}
		message, dedupe := "as the server allows", "as the server does"
		if s.MaxMessage > 0 {
			message = fmt.Sprintf("%d KiB", s.MaxMessage>>10)
		}
		switch {
		case s.Dedupe >= time.Minute:
			dedupe = fmt.Sprintf("%.0f minutes", s.Dedupe.Minutes())
		case s.Dedupe > 0:
			dedupe = fmt.Sprintf("%d ms", s.Dedupe.Milliseconds())
		}
		fmt.Fprintf(&b, "| `%s` | `%s` | %s | %d messages, %d MiB | %s | %s |\n",
			s.Name, strings.Join(s.Subjects, "`, `"), keeps, s.MaxMessages, s.MaxBytes>>20, message, dedupe)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// fieldTable lists the keys of a type: "api.Trigger".
func fieldTable(name string) (string, error) {
	dir, name, _ := strings.Cut(name, ".")
	s, err := parseSource("internal/" + dir)
	if err != nil {
		return "", err
	}
	fields, err := s.fields(name)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString("| key | type | |\n|---|---|---|\n")
	for _, f := range fields {
		kind, err := linked(dir, f.kind)
		switch {
		case err != nil:
			return "", fmt.Errorf("%s: %w", name, err)
		case f.key == "":
			fmt.Fprintf(&b, "| all keys of %s | | |\n", kind)
		case f.key != "-":
			fmt.Fprintf(&b, "| `%s` | %s | %s |\n", f.key, kind, strings.ReplaceAll(f.doc, "|", `\|`))
		}
	}
	return strings.TrimSuffix(b.String(), "\n"), nil
}

// linked makes a link of a type that has a table of its own, as all of them have
// to.
func linked(dir, kind string) (string, error) {
	words := strings.Fields(kind)
	name := words[len(words)-1]
	if name == strings.ToLower(name) {
		return kind, nil
	}
	heading := name
	if name == "Verdict" && dir != "api" {
		heading = "Recorded verdict"
	}
	if !strings.Contains(natsText, "### "+heading+"\n") {
		return "", fmt.Errorf("the page has no section %q", heading)
	}
	anchor := strings.ReplaceAll(strings.ToLower(heading), " ", "-")
	return strings.Join(append(words[:len(words)-1], "["+name+"](#"+anchor+")"), " "), nil
}

// eventExample is an event as observers get it.
func eventExample() (string, error) {
	at := time.Date(2026, 11, 23, 3, 42, 25, int(549*time.Millisecond), time.UTC)
	data, err := event.Encode(event.Source(""), rollout.Event{
		Seq: 14, Index: 31, Wall: at.UnixMilli(), Kind: rollout.KindRollingBack, Service: "checkout", Rollout: "checkout-2",
		Phase: rollout.RollingBack, From: "1.4.0", To: "1.5.0", Image: "registry.example.com/checkout@sha256:6f1f...",
		Step: 1, Steps: 4, Fleet: 2, Cause: rollout.CauseGate, By: "serin", Text: "rolling back at step 1 of 4: 5xx 6.25% (20 of 320) on canary, ...",
		Verdict: &analysis.Verdict{
			Outcome: analysis.Fail, Gate: "errors", Reason: "5xx 6.25% (20 of 320) on canary, ...",
			Canary: analysis.Counts{Requests: 320, Errors: 20}, Stable: analysis.Counts{Requests: 3359},
		},
	})
	if err != nil {
		return "", err
	}
	var out bytes.Buffer
	err = json.Indent(&out, data, "", "  ")
	return out.String(), err
}
