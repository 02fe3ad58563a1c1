package rollout

import (
	"fmt"
	"strings"
)

// Series selects lines of a page of metrics in Prometheus' text format: those of that name which
// have all of the labels, whatever others they have.
type Series struct {
	Name   string
	Labels map[string]string
}

// maxLabels is how many labels a selector may name.
const maxLabels = 16

// ParseSeries reads a selector: name, or name{label="value",...}. In a value \\, \" and \n stand
// for what they do in the format itself.
func ParseSeries(text string) (Series, error) {
	rest := strings.TrimSpace(text)
	name, rest := cutName(rest, true)
	if name == "" {
		return Series{}, fmt.Errorf("%q does not begin with the name of a metric; write name, or name{label=\"value\"}", clip(text))
	}
	s := Series{Name: name}
	rest = strings.TrimSpace(rest)
	if rest == "" {
		return s, nil
	}
	labels, closed := strings.CutSuffix(rest, "}")
	labels, opened := strings.CutPrefix(labels, "{")
	if !opened || !closed {
		return Series{}, fmt.Errorf("%q goes on behind the name; write name{label=\"value\"}", clip(text))
	}
	for labels = strings.TrimSpace(labels); labels != ""; {
		var err error
		if labels, err = s.takeLabel(labels); err != nil {
			return Series{}, fmt.Errorf("%q: %w", clip(text), err)
		}
	}
	return s, nil
}

// Matches reports whether a line of that name and those labels is selected.
func (s Series) Matches(name string, labels map[string]string) bool {
	if name != s.Name {
		return false
	}
	for label, value := range s.Labels {
		if labels[label] != value {
			return false
		}
	}
	return true
}

// Private

// takeLabel reads the first label="value" of the text and returns the rest.
func (s *Series) takeLabel(text string) (rest string, err error) {
	label, rest := cutName(text, false)
	rest = strings.TrimSpace(rest)
	value, isEqual := strings.CutPrefix(rest, "=")
	value, isQuoted := strings.CutPrefix(strings.TrimSpace(value), `"`)
	if label == "" || !isEqual || !isQuoted {
		return "", fmt.Errorf("%q is no label; write label=\"value\" (other comparisons are not known)", clip(text))
	}
	read, rest, ok := cutValue(value)
	if !ok {
		return "", fmt.Errorf("the value of label %s does not end, or has an escape other than \\\\, \\\" and \\n", label)
	}
	if _, twice := s.Labels[label]; twice {
		return "", fmt.Errorf("label %s is there twice", label)
	}
	if len(s.Labels) == maxLabels {
		return "", fmt.Errorf("there are more than %d labels", maxLabels)
	}
	if s.Labels == nil {
		s.Labels = map[string]string{}
	}
	s.Labels[label] = read
	rest = strings.TrimSpace(rest)
	next, isComma := strings.CutPrefix(rest, ",")
	if rest != "" && !isComma {
		return "", fmt.Errorf("%q follows label %s; write a comma between labels", clip(rest), label)
	}
	return strings.TrimSpace(next), nil
}

// cutName takes the name of a metric, which may have colons, or of a label off the text.
func cutName(text string, colons bool) (name, rest string) {
	end := 0
	for end < len(text) {
		c := text[end]
		isLetter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c == ':' && colons
		isDigit := c >= '0' && c <= '9' && end > 0
		if !isLetter && !isDigit {
			break
		}
		end++
	}
	return text[:end], text[end:]
}

// cutValue takes a value and the quote behind it off the text.
func cutValue(text string) (value, rest string, ok bool) {
	var b strings.Builder
	for k := 0; k < len(text); k++ {
		switch text[k] {
		case '"':
			return b.String(), text[k+1:], true
		case '\\':
			k++
			if k == len(text) {
				return "", "", false
			}
			escaped, known := map[byte]byte{'\\': '\\', '"': '"', 'n': '\n'}[text[k]]
			if !known {
				return "", "", false
			}
			b.WriteByte(escaped)
		default:
			b.WriteByte(text[k])
		}
	}
	return "", "", false
}
