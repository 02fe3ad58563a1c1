package config

import (
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/goccy/go-yaml"
)

// password finds the one in a URL, as in nats://user:password@host.
var password = regexp.MustCompile(`(://[^:/@\s]*:)[^@/\s]+@`)

// maxPad bounds the column of the comments, so that one long value does not push all of them away.
const maxPad = 48

// Print writes the settings as a YAML file that would give the same ones, each line with its value's origin
// as a comment. Passwords in URLs are written as xxxxx.
func (s Settings) Print(w io.Writer) error {
	type line struct{ text, origin string }
	var lines []line
	var open []string // the sections that the last line stands in
	pad := 0
	for _, f := range s.fields {
		path := strings.Split(f.key, ".")
		sections, name := path[:len(path)-1], path[len(path)-1]
		for depth, section := range sections {
			if depth < len(open) && open[depth] == section {
				continue
			}
			open = open[:min(depth, len(open))]
			lines = append(lines, line{text: indent(depth) + section + ":"})
			open = append(open, section)
		}
		open = open[:len(sections)]
		value, err := inYAML(f.value.Interface())
		if err != nil {
			return fmt.Errorf("print %s: %w", f.key, err)
		}
		text := indent(len(sections)) + name + ": " + value
		lines = append(lines, line{text, s.Origin(f.key)})
		pad = max(pad, min(len(text), maxPad))
	}
	for _, l := range lines {
		text := l.text
		if l.origin != "" {
			text = fmt.Sprintf("%-*s  # %s", pad, text, l.origin)
		}
		if _, err := fmt.Fprintln(w, text); err != nil {
			return fmt.Errorf("print configuration: %w", err)
		}
	}
	return nil
}

// Private

func indent(depth int) string { return strings.Repeat("  ", depth) }

// inYAML is a value on one line.
func inYAML(value any) (string, error) {
	if text, ok := value.(string); ok && strings.ContainsAny(text, "\r\n") {
		return fmt.Sprintf("%q", text), nil // the encoder would write a block
	}
	data, err := yaml.MarshalWithOptions(value, yaml.Flow(true))
	if err != nil {
		return "", err
	}
	return password.ReplaceAllString(strings.TrimSpace(string(data)), "${1}xxxxx@"), nil
}
