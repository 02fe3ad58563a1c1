package show

import (
	"io"
	"strings"
)

// Contexts writes one row for each context, with a * before the current one.
func (o Options) Contexts(out io.Writer, names []string, current string, servers func(string) []string) error {
	t := newTable(out, "", "CONTEXT", "SERVER")
	for _, name := range names {
		mark := " "
		if name == current {
			mark = "*"
		}
		t.row(mark, name, strings.Join(servers(name), " "))
	}
	return t.end()
}
