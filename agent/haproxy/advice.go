package haproxy

import (
	"fmt"
	"os"
	"slices"
	"strings"
)

// Advice looks whether the configuration of a HAProxy has what canaries need: for each
// backend that is named, and for each that has slots, what it lacks, in a line. Backends
// that stand in another file have none.
func Advice(file string, backends []string) ([]string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the existing HAProxy's file: %w", err)
	}
	var all []string
	for _, name := range slices.Compact(slices.Sorted(slices.Values(slices.Concat(backends, slotted(string(text)))))) {
		all = append(all, advice(string(text), name)...)
	}
	return all, nil
}

// advice reads the text of a HAProxy configuration and says what a backend should
// have for a canary to fail without users seeing it, and has not: each with the
// line to add. A backend that is not in the text has none.
func advice(text, backend string) []string {
	lines, ok := linesOf(text, backend)
	if !ok {
		return nil
	}
	var all []string
	lack := func(line, why string) { all = append(all, fmt.Sprintf("backend %s: add %q: %s", backend, line, why)) }
	if !slices.ContainsFunc(lines, starts("option redispatch")) {
		lack("option redispatch 1", "without it a failed connection to the canary is not given to the old version")
	}
	if slices.ContainsFunc(lines, func(words []string) bool { return starts("retries")(words) && words[len(words)-1] == "0" }) {
		lack("retries 3", "nothing is tried again with \"retries 0\", and nothing redispatched")
	}
	for _, timeout := range []string{"connect", "server"} {
		if !slices.ContainsFunc(lines, starts("timeout "+timeout)) {
			lack("timeout "+timeout+" "+map[string]string{"connect": "500ms", "server": "30s"}[timeout], "without it a container that hangs holds its requests for ever")
		}
	}
	checked := slices.ContainsFunc(lines, func(words []string) bool { return starts("default-server")(words) && slices.Contains(words, "check") })
	if !checked && slices.ContainsFunc(lines, func(words []string) bool {
		return (starts("server")(words) || starts("server-template")(words)) && !slices.Contains(words, "check")
	}) {
		lack("default-server check inter 500ms fastinter 100ms downinter 200ms fall 5 rise 1", "a container that accepts no connection is found by checks alone")
	}
	return all
}

// Private

// starts tells whether a line begins with those words.
func starts(text string) func(words []string) bool {
	want := strings.Fields(text)
	return func(words []string) bool { return len(words) >= len(want) && slices.Equal(words[:len(want)], want) }
}

// slotted returns the backends in which the first slot of a bank is declared.
func slotted(text string) []string {
	var all []string
	name := ""
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		switch {
		case len(words) < 2:
		case words[0] == "backend" || words[0] == "listen":
			name = words[1]
		case words[0] == "server" && words[1] == "a1", words[0] == "server-template" && words[1] == "a":
			all = append(all, name)
		}
	}
	return all
}

// linesOf returns the words of each line that holds for a backend: those of the
// defaults that it takes, which are the last above it or those it names, and its own.
// What a line that begins with "no" takes back is taken out.
func linesOf(text, backend string) (lines [][]string, ok bool) {
	const last = "" // the name of the latest defaults
	defaults := map[string][][]string{}
	into := func([]string) {}
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		name := append(words, "")[1]
		switch {
		case words[0] == "defaults":
			defaults[last] = nil
			into = func(words []string) {
				defaults[last] = append(defaults[last], words)
				defaults[name] = defaults[last]
			}
		case (words[0] == "backend" || words[0] == "listen") && name == backend:
			from := last
			if at := slices.Index(words, "from"); at > 0 && at+1 < len(words) {
				from = words[at+1]
			}
			lines, ok = slices.Clone(defaults[from]), true
			into = func(words []string) { lines = append(lines, words) }
		case line[0] != ' ' && line[0] != '\t' && slices.Contains(otherSections(), words[0]):
			into = func([]string) {}
		default:
			into(words)
		}
	}
	all := slices.Clone(lines)
	return slices.DeleteFunc(lines, func(words []string) bool {
		return slices.ContainsFunc(all, func(no []string) bool { return no[0] == "no" && starts(strings.Join(no[1:], " "))(words) })
	}), ok
}

func otherSections() []string {
	return []string{"global", "frontend", "backend", "listen", "peers", "resolvers", "userlist", "mailers", "program", "ring", "cache", "http-errors", "log-forward", "fcgi-app"}
}

// advise says in the log, once for each backend, what the user's file lacks.
func (x *Existing) advise(backend string) {
	if x.cfg.File == "" || slices.Contains(x.advised, backend) {
		return
	}
	text, err := os.ReadFile(x.cfg.File)
	if err != nil {
		x.cfg.Log.Warn().Err(err).Msg("the existing HAProxy's file cannot be read: nobody has looked whether it has what canaries need")
		return
	}
	x.advised = append(x.advised, backend)
	for _, text := range advice(string(text), backend) {
		x.cfg.Log.Warn().Str("file", x.cfg.File).Msg(text)
	}
}
