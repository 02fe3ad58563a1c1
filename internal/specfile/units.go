package specfile

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"

	"github.com/serin-rollouts/serin/internal/rollout"
)

// percent is a share in parts per million, written as "2.5%".
type percent int

// UnmarshalYAML reads "2.5%".
func (p *percent) UnmarshalYAML(node ast.Node) error {
	text, ok := scalar(node)
	value, err := parsePercent(text)
	if !ok || err != nil {
		return mistake(node, "%s is no share; write it with a percent sign, for example 5%% or 0.5%%", node)
	}
	*p = percent(value)
	return nil
}

// weight is a share of the traffic in basis points, written as "2.5%". A smaller
// part would be none.
type weight int

// UnmarshalYAML reads "2.5%".
func (w *weight) UnmarshalYAML(node ast.Node) error {
	var p percent
	if err := p.UnmarshalYAML(node); err != nil {
		return err
	}
	if p%100 != 0 {
		return mistake(node, "%s is too fine; weights are whole hundredths of a percent, for example 0.01%%", node)
	}
	*w = weight(p.basisPoints())
	return nil
}

// duration is a time span, written as "90s", "5m", "1h30m".
type duration time.Duration

// UnmarshalYAML reads "90s".
func (d *duration) UnmarshalYAML(node ast.Node) error {
	text, _ := scalar(node)
	value, err := time.ParseDuration(text)
	if err != nil {
		return mistake(node, "%s is no duration; write it with a unit, for example 30s, 5m or 1h30m", node)
	}
	*d = duration(value)
	return nil
}

// size is a number of bytes, written as "256m" or "1g".
type size int64

// UnmarshalYAML reads "256m".
func (s *size) UnmarshalYAML(node ast.Node) error {
	text, _ := scalar(node)
	shift, digits := 0, strings.ToLower(text)
	for unit, bits := range map[string]int{"k": 10, "m": 20, "g": 30} {
		if cut, found := strings.CutSuffix(digits, unit); found {
			shift, digits = bits, cut
			break
		}
	}
	value, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || value < 0 || value > math.MaxInt64>>shift {
		return mistake(node, "%s is no size; write bytes, or a number with k, m or g, for example 256m", node)
	}
	*s = size(value << shift)
	return nil
}

// milli is a number of CPUs in thousandths, written as "0.5".
type milli int

// UnmarshalYAML reads "0.5".
func (m *milli) UnmarshalYAML(node ast.Node) error {
	text, _ := scalar(node)
	value, err := strconv.ParseFloat(text, 64)
	if err != nil || value < 0 || value > 1024 || math.IsNaN(value) {
		return mistake(node, "%s is no number of CPUs; write for example 0.5 or 2", node)
	}
	*m = milli(math.Round(value * 1000))
	return nil
}

// hostCount is a number of hosts, or a share of them written as "25%".
type hostCount rollout.HostCount

// UnmarshalYAML reads "25%" or 3.
func (h *hostCount) UnmarshalYAML(node ast.Node) error {
	text, _ := scalar(node)
	if ppm, err := parsePercent(text); err == nil {
		*h = hostCount{Share: ppm / 100}
		return nil
	}
	count, err := strconv.Atoi(text)
	if err != nil {
		return mistake(node, "%s is no number of hosts; write a count such as 3, or a share such as 25%%", node)
	}
	*h = hostCount{Count: count}
	return nil
}

// Private

func (p percent) basisPoints() int { return int(p) / 100 }

func (d duration) value() time.Duration { return time.Duration(d) }

// parsePercent reads "2.5%" as parts per million. It counts digits instead of
// using floating point, so that 0.07% is 700 and not 699.
func parsePercent(text string) (int, error) {
	number, ok := strings.CutSuffix(strings.TrimSpace(text), "%")
	if !ok {
		return 0, fmt.Errorf("%q has no percent sign", text)
	}
	whole, fraction, _ := strings.Cut(strings.TrimSpace(number), ".")
	const places = 4
	if len(fraction) > places || len(whole) > 6 || whole == "" {
		return 0, fmt.Errorf("%q is out of range", text)
	}
	return strconv.Atoi(whole + fraction + strings.Repeat("0", places-len(fraction)))
}

// scalar returns a node's text if it is a plain value.
func scalar(node ast.Node) (string, bool) {
	if s, ok := node.(*ast.StringNode); ok {
		return s.Value, true
	}
	if s, ok := node.(ast.ScalarNode); ok {
		return s.String(), true
	}
	return "", false
}

// mistake is an error that the YAML library shows with line and caret.
func mistake(node ast.Node, format string, args ...any) error {
	return &yaml.SyntaxError{Message: fmt.Sprintf(format, args...), Token: node.GetToken()}
}
