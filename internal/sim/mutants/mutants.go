// Package mutants plants faults in the true source of the core, to see whether
// the simulator finds them: a net that catches nothing proves nothing. The
// product's code has no switches for it: a fault is a text in mutants.txt that
// replaces another one, in a copy that only `go build -overlay` sees.
package mutants

import (
	_ "embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

//go:embed mutants.txt
var source string

// Mutant is one planted fault.
type Mutant struct {
	Name    string
	File    string   // from the module's root
	Expect  []string // promises of which one is the first to be seen broken; empty: any
	Changes []Change
}

// Change is a text and what takes its place.
type Change struct{ Search, Replace string }

// Load returns all planted faults, in the order of the file.
func Load() ([]Mutant, error) { return parse(source) }

// Plant returns the file of the module at root with the fault in it. The text
// that is searched for has to be there exactly once.
func (m Mutant) Plant(root string) (string, error) {
	data, err := os.ReadFile(filepath.Join(root, m.File))
	if err != nil {
		return "", fmt.Errorf("plant %q: %w", m.Name, err)
	}
	text := string(data)
	for _, c := range m.Changes {
		if n := strings.Count(text, c.Search); n != 1 {
			return "", fmt.Errorf("plant %q: its text is %d times in %s; adapt mutants.txt:\n%s", m.Name, n, m.File, c.Search)
		}
		text = strings.Replace(text, c.Search, c.Replace, 1)
	}
	return text, nil
}

// Private

func parse(text string) ([]Mutant, error) {
	var all []Mutant
	sections := strings.Split(text, "\n== ")
	for _, section := range sections[1:] {
		m, err := parseOne(section)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(all, func(x Mutant) bool { return x.Name == m.Name }) {
			return nil, fmt.Errorf("%q is there twice", m.Name)
		}
		all = append(all, m)
	}
	return all, nil
}

func parseOne(section string) (Mutant, error) {
	lines := strings.Split(strings.TrimRight(section, "\n"), "\n")
	m := Mutant{Name: lines[0]}
	var was byte
	for _, line := range lines[1:] {
		key, rest, _ := strings.Cut(line, " ")
		switch key {
		case "file":
			m.File = rest
		case "expect":
			m.Expect = strings.Split(rest, ", ")
		case "-", "+":
			if key == "-" && was != '-' {
				m.Changes = append(m.Changes, Change{})
			}
			if len(m.Changes) == 0 {
				return m, fmt.Errorf("%q replaces nothing", m.Name)
			}
			m.Changes[len(m.Changes)-1].add(key, rest)
			was = key[0]
		case "":
		default:
			return m, fmt.Errorf("%q: %q is neither file, expect, - nor +", m.Name, line)
		}
	}
	if m.File == "" || len(m.Changes) == 0 {
		return m, errors.Join(fmt.Errorf("%q changes nothing", m.Name))
	}
	for i := range m.Changes {
		c := &m.Changes[i]
		c.Search, c.Replace = strings.TrimSuffix(c.Search, "\n"), strings.TrimSuffix(c.Replace, "\n")
	}
	return m, nil
}

func (c *Change) add(key, line string) {
	if key == "-" {
		c.Search += line + "\n"
	} else {
		c.Replace += line + "\n"
	}
}
