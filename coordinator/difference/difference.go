// Package difference says in words how a version of a service that is to come
// differs from the one that there is: in what runs, and in the rules that it is
// rolled out by. The words are those of the rollout file. Values that look like
// secrets are not shown; that they change is.
package difference

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/serin-rollouts/serin/internal/rollout"
)

// Side is a version, and the rollout file that it came with.
type Side struct {
	Revision rollout.Revision
	Spec     rollout.Spec
}

// Of says what differs, a line for each key of the file, in its order: as
// "replicas: 2 -> 3", "step 2: added: ..." or "gates.errors: removed, was ...".
// It is empty if nothing does. Both specs are as the log may hold them at one
// level, see rollout.Spec.At.
func Of(from, to Side) []string {
	a, b := from.Spec, to.Spec
	return slices.Concat(
		between("", image(from.Revision), image(to.Revision)),
		hosts(a.Hosts, b.Hosts),
		between("", replicas(from.Revision), replicas(to.Revision)),
		between("", frontend(a.Frontend), frontend(b.Frontend)),
		between("container.", container(from.Revision.Container), container(to.Revision.Container)),
		between("", path(a), path(b)),
		steps(a, b),
		between("gates.", judging(a.Gates), judging(b.Gates)),
		gates(a.Gates, b.Gates),
		between("", rules(a), rules(b)),
	)
}

// Private

// fact is one key of the file and its value; an empty one is not there.
type fact struct {
	key   string
	value string // that is compared
	shown string
	// hidden: nothing of the value is shown.
	hidden bool
}

// plain is a fact of a value that the product has written.
func plain(key, value string) fact { return fact{key: key, value: value, shown: value} }

// free is a fact of a text that a person has written.
func free(key, value string) fact {
	if value == "" {
		return fact{key: key}
	}
	return fact{key: key, value: value, shown: quoted(value), hidden: looksSecret(value)}
}

// yes is a fact that is there or not.
func yes(key string, is bool) fact {
	if !is {
		return fact{key: key}
	}
	return plain(key, "true")
}

func lasting(key string, d time.Duration) fact {
	if d == 0 {
		return fact{key: key}
	}
	return plain(key, span(d))
}

// count is a fact of a number; none is not there.
func count[T int | int64](key string, n T) fact {
	if n == 0 {
		return fact{key: key}
	}
	return plain(key, fmt.Sprint(n))
}

// between says what differs in facts, first those of a, then those that b adds.
func between(prefix string, a, b []fact) []string {
	var lines []string
	for _, key := range keys(a, b) {
		if line := change(find(a, key), find(b, key)); line != "" {
			lines = append(lines, prefix+key+": "+line)
		}
	}
	return lines
}

func keys(a, b []fact) []string {
	var all []string
	for _, f := range slices.Concat(a, b) {
		if !slices.Contains(all, f.key) {
			all = append(all, f.key)
		}
	}
	return all
}

func find(all []fact, key string) fact {
	if k := slices.IndexFunc(all, func(f fact) bool { return f.key == key }); k >= 0 {
		return all[k]
	}
	return fact{key: key}
}

// change says how a fact came to be another; empty if it did not.
func change(a, b fact) string {
	hidden := a.hidden || b.hidden || a.shown == b.shown
	switch {
	case a.value == b.value:
		return ""
	case a.value == "" && hidden:
		return "added, not shown"
	case a.value == "":
		return "added: " + b.shown
	case b.value == "" && hidden:
		return "removed"
	case b.value == "":
		return "removed, was " + a.shown
	case hidden:
		return "changed, not shown"
	}
	return a.shown + " -> " + b.shown
}

// hosts says which hosts are chosen beside others, if both sides name them.
func hosts(a, b rollout.Selector) []string {
	if len(a.Names) == 0 || len(b.Names) == 0 {
		return between("", []fact{plain("hosts", selected(a))}, []fact{plain("hosts", selected(b))})
	}
	var parts []string
	for _, c := range []struct {
		word      string
		has, lack []string
	}{{"added", b.Names, a.Names}, {"removed", a.Names, b.Names}} {
		only := slices.DeleteFunc(slices.Clone(c.has), func(name string) bool { return slices.Contains(c.lack, name) })
		if len(only) > 0 {
			parts = append(parts, c.word+": "+clip(strings.Join(only, ", ")))
		}
	}
	if len(parts) == 0 {
		return nil
	}
	return []string{"hosts: " + strings.Join(parts, "; ")}
}

func selected(s rollout.Selector) string {
	switch {
	case len(s.Names) > 0:
		return clip(strings.Join(s.Names, ", "))
	case len(s.Labels) > 0:
		return clip(pairs(s.Labels))
	}
	return "all"
}

// pairs writes a map as a=1, b=2.
func pairs(m map[string]string) string {
	var all []string
	for _, key := range slices.Sorted(maps.Keys(m)) {
		all = append(all, key+"="+m[key])
	}
	return strings.Join(all, ", ")
}

// steps says which steps are others. What is the same at the begin and at the
// end is left out, so that a step between two is one line.
func steps(from, to rollout.Spec) []string {
	a, b := written(from), written(to)
	same := 0
	for same < min(len(a), len(b)) && a[same] == b[same] {
		same++
	}
	end := 0
	for end < min(len(a), len(b))-same && a[len(a)-1-end] == b[len(b)-1-end] {
		end++
	}
	a, b = a[same:len(a)-end], b[same:len(b)-end]
	var lines []string
	for k := range max(len(a), len(b)) {
		var was, is fact
		if k < len(a) {
			was = plain("", a[k])
		}
		if k < len(b) {
			is = plain("", b[k])
		}
		if line := change(was, is); line != "" {
			lines = append(lines, fmt.Sprintf("step %d: %s", same+k+1, line))
		}
	}
	return lines
}

// written are a spec's steps in words; none of an automatic pace, which chooses
// them itself.
func written(s rollout.Spec) []string {
	if s.Pace == rollout.AutoPace {
		return nil
	}
	var all []string
	for _, step := range s.Steps {
		text := fmt.Sprintf("hosts %s, weight %s", step.Hosts, rollout.Percent(step.Weight))
		if step.Hold > 0 {
			text += ", hold " + span(step.Hold)
		}
		if step.Approve {
			text += ", approve"
		}
		all = append(all, text)
	}
	return all
}
