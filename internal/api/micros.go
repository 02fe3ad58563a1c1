package api

import (
	"strconv"
	"strings"
)

// Micros is a span in microseconds; 0 is not known.
type Micros int64

// String renders it with two or three digits, for people: 0.25ms, 1.8ms, 182ms,
// 2.4s; "-" if it is not known.
func (m Micros) String() string {
	const milli, second = 1e3, 1e6
	v, unit := float64(m)/milli, "ms"
	if m >= 999_500 {
		v, unit = float64(m)/second, "s"
	}
	switch {
	case m <= 0:
		return "-"
	case v < 1:
		return trimmed(v, 2) + unit
	case v < 9.95:
		return trimmed(v, 1) + unit
	default:
		return trimmed(v, 0) + unit
	}
}

// Private

func trimmed(v float64, digits int) string {
	s := strconv.FormatFloat(v, 'f', digits, 64)
	if digits > 0 {
		s = strings.TrimSuffix(strings.TrimRight(s, "0"), ".")
	}
	return s
}
