package localfleet

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/rs/zerolog"
)

const (
	mostLines = 5       // shown of each part's log
	logTail   = 1 << 20 // bytes that are looked at
)

// Trouble tells what the parts complained about last, and which of them have
// ended by themselves; empty if all is quiet.
func (f *Fleet) Trouble() string {
	var b strings.Builder
	for _, p := range f.allParts() {
		if err := p.failed(); err != nil {
			fmt.Fprintf(&b, "%v\n", err)
		}
		for _, line := range complaints(p.log) {
			fmt.Fprintf(&b, "%s: %s\n", p.name, line)
		}
	}
	return b.String()
}

// Private

// complaints returns the last lines of a log that are warnings, worse, or no
// log lines at all, such as a panic's.
func complaints(file string) []string {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil // it was never started
	}
	data = data[max(0, len(data)-logTail):]
	var said, raw []string
	for line := range bytes.Lines(data) {
		line = bytes.TrimSpace(line)
		switch text, structured := complaint(line); {
		case text == "":
		case structured:
			said = append(said, text)
		default:
			raw = append(raw, text)
		}
	}
	// A panic says first what matters, a log last.
	return append(said[max(0, len(said)-mostLines):], raw[:min(mostLines, len(raw))]...)
}

// complaint renders a line for people; empty if it is none. It tells whether
// the line is one of a structured log.
func complaint(line []byte) (text string, structured bool) {
	var entry struct {
		Level zerolog.Level `json:"level"`
	}
	if json.Unmarshal(line, &entry) != nil {
		return string(line), false
	}
	if entry.Level < zerolog.WarnLevel {
		return "", true
	}
	var b strings.Builder
	writer := zerolog.ConsoleWriter{Out: &b, NoColor: true, TimeFormat: time.TimeOnly}
	if _, err := writer.Write(line); err != nil {
		return string(line), true
	}
	return strings.TrimSpace(b.String()), true
}
