package bus

import (
	"errors"
	"fmt"
	"strings"
)

// Prefix starts every subject of serin. The version is part of it, so that
// two protocol versions can share one bus.
const Prefix = "serin.v1."

// maxToken is the longest token: that of a DNS label, which host names have.
const maxToken = 63

// Subjects and patterns without a variable part.
const (
	// BeatSubject carries the leader's sign of life to every agent.
	BeatSubject = Prefix + "beat"

	// AllTriggers matches the triggers of all services, and those for names that
	// no service can have, such as one with a dot: they are refused, not ignored.
	AllTriggers = Prefix + "trigger.>"
	// AllCommands matches the operators' commands of all services.
	AllCommands = Prefix + "cmd.*.*"
	// AllGets matches every read of the operators.
	AllGets = Prefix + "get.>"
	// AllEvents matches the events of all rollouts.
	AllEvents = Prefix + "event.>"
	// AllStates matches the last states of all services.
	AllStates = Prefix + "state.*"
	// AllSteps matches the step broadcasts of all services.
	AllSteps = Prefix + "step.*"
	// AllHealth matches the reports of all hosts.
	AllHealth = Prefix + "health.*"
	// AllFeedback matches the users' signals on all services.
	AllFeedback = Prefix + "feedback.*"
)

// ErrToken means that a name cannot be a part of a subject.
var ErrToken = errors.New("not a subject token")

// ErrSubject means that a subject is not of the expected form.
var ErrSubject = errors.New("not a subject of this kind")

// ValidToken returns ErrToken unless s is 1 to 63 of [a-z0-9_-]. Names of
// services, rollouts and kinds must pass it before they become subjects.
func ValidToken(s string) error {
	if s == "" || len(s) > maxToken {
		return fmt.Errorf("%w: %q has %d characters, allowed are 1 to %d", ErrToken, s, len(s), maxToken)
	}
	for i := range len(s) {
		if c := s[i]; !isTokenByte(c) {
			return fmt.Errorf("%w: %q has %q, allowed are a-z, 0-9, _ and -", ErrToken, s, c)
		}
	}
	return nil
}

// HostToken makes the token of a host from its name: lower case, dots to
// underscores. Underscores do not occur in host names, so that two hosts never
// share a token. It returns ErrToken for a name that is too long or has
// other characters.
func HostToken(host string) (string, error) {
	token := strings.ReplaceAll(strings.ToLower(host), ".", "_")
	if err := ValidToken(token); err != nil {
		return "", fmt.Errorf("host %q: %w", host, err)
	}
	return token, nil
}

// TriggerSubject is where a new version of a service is announced.
func TriggerSubject(service string) string { return Prefix + "trigger." + service }

// CommandSubject is where an operator's verb for a service goes.
func CommandSubject(verb, service string) string { return Prefix + "cmd." + verb + "." + service }

// GetSubject is where an operator's read goes; id may be empty.
func GetSubject(what, id string) string {
	if id == "" {
		return Prefix + "get." + what
	}
	return Prefix + "get." + what + "." + id
}

// EventSubject is where an event of a rollout is published. kind may consist
// of several tokens (step.started).
func EventSubject(service, rollout, kind string) string {
	return Prefix + "event." + service + "." + rollout + "." + kind
}

// StateSubject keeps the last state of a service.
func StateSubject(service string) string { return Prefix + "state." + service }

// StepSubject carries the broadcast that moves a service's whole fleet.
func StepSubject(service string) string { return Prefix + "step." + service }

// AssignSubject is private to a host (its token) and carries its assignments.
func AssignSubject(host string) string { return Prefix + "agent." + host + ".assign" }

// ResolveSubject asks a host which digest an image reference has.
func ResolveSubject(host string) string { return Prefix + "agent." + host + ".resolve" }

// HealthSubject carries the reports of a host (its token).
func HealthSubject(host string) string { return Prefix + "health." + host }

// LevelSubject asks a replica of the coordinator which level of the log it
// understands.
func LevelSubject(replica string) string { return Prefix + "replica." + replica + ".level" }

// StandingSubject asks a replica of the coordinator how it stands.
func StandingSubject(replica string) string { return Prefix + "replica." + replica + ".standing" }

// FeedbackSubject carries the users' own signals on a service.
func FeedbackSubject(service string) string { return Prefix + "feedback." + service }

// ParseTrigger returns the service of a trigger's subject.
func ParseTrigger(subject string) (service string, err error) { return parseOne(subject, "trigger") }

// ParseHealth returns the host token of a report's subject.
func ParseHealth(subject string) (host string, err error) { return parseOne(subject, "health") }

// ParseFeedback returns the service of a signal's subject.
func ParseFeedback(subject string) (service string, err error) { return parseOne(subject, "feedback") }

// ParseStep returns the service of a step broadcast's subject.
func ParseStep(subject string) (service string, err error) { return parseOne(subject, "step") }

// ParseState returns the service of a state's subject.
func ParseState(subject string) (service string, err error) { return parseOne(subject, "state") }

// ParseCommand returns verb and service of a command's subject.
func ParseCommand(subject string) (verb, service string, err error) {
	tokens, err := parse(subject, "cmd")
	if err != nil {
		return "", "", err
	}
	if len(tokens) != 2 {
		return "", "", fmt.Errorf("%w: %q is not cmd.<verb>.<service>", ErrSubject, subject)
	}
	return tokens[0], tokens[1], nil
}

// ParseGet returns what is read, and of whom; id is empty where none is named.
func ParseGet(subject string) (what, id string, err error) {
	tokens, err := parse(subject, "get")
	if err != nil {
		return "", "", err
	}
	switch len(tokens) {
	case 1:
		return tokens[0], "", nil
	case 2:
		return tokens[0], tokens[1], nil
	default:
		return "", "", fmt.Errorf("%w: %q is not get.<what>[.<id>]", ErrSubject, subject)
	}
}

// ParseEvent returns the parts of an event's subject; kind may have dots.
func ParseEvent(subject string) (service, rollout, kind string, err error) {
	tokens, err := parse(subject, "event")
	if err != nil {
		return "", "", "", err
	}
	if len(tokens) < 3 {
		return "", "", "", fmt.Errorf("%w: %q is not event.<service>.<rollout>.<kind>", ErrSubject, subject)
	}
	return tokens[0], tokens[1], strings.Join(tokens[2:], "."), nil
}

// Private

func isTokenByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '_' || c == '-'
}

func parseOne(subject, family string) (string, error) {
	tokens, err := parse(subject, family)
	if err != nil {
		return "", err
	}
	if len(tokens) != 1 {
		return "", fmt.Errorf("%w: %q is not %s.<name>", ErrSubject, subject, family)
	}
	return tokens[0], nil
}

// parse returns the tokens behind Prefix and family, each of them valid.
func parse(subject, family string) ([]string, error) {
	rest, ok := strings.CutPrefix(subject, Prefix+family+".")
	if !ok {
		return nil, fmt.Errorf("%w: %q does not start with %s%s", ErrSubject, subject, Prefix, family)
	}
	tokens := strings.Split(rest, ".")
	for _, t := range tokens {
		if err := ValidToken(t); err != nil {
			return nil, fmt.Errorf("subject %q: %w", subject, err)
		}
	}
	return tokens, nil
}

// concrete returns ErrSubject for a subject that nothing may be published on:
// one with wildcards (a name that slipped through as "*" would otherwise reach
// or describe the whole fleet), spaces or empty tokens.
func concrete(subject string) error {
	for token := range strings.SplitSeq(subject, ".") {
		if token == "" || strings.ContainsAny(token, "*> \t\r\n") {
			return fmt.Errorf("%w: %q cannot be published on", ErrSubject, subject)
		}
	}
	return nil
}
