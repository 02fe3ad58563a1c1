package condition

import (
	"math"
	"slices"
	"strings"
)

// MaxText is how many bytes of a text an expression gets to see; the rest is cut off.
const MaxText = 32 << 10

// Scope is what an expression may speak of: names of numbers and of texts. A name is one word, or
// several with dots between them.
type Scope struct {
	Numbers []string
	Texts   []string
}

// The tracks' names, as expressions begin with them.
const (
	Canary = "canary"
	Stable = "stable"
)

// folds are what is made of several containers' readings, beside their mean.
const (
	foldMax = "max"
	foldMin = "min"
	foldSum = "sum"
)

// Containers is the scope of readings that every container of both tracks gives: canary.NAME is
// their mean, canary.max.NAME, canary.min.NAME and canary.sum.NAME what they say; likewise stable.
func Containers(names []string) Scope {
	var s Scope
	for _, track := range []string{Canary, Stable} {
		for _, name := range names {
			s.Numbers = append(s.Numbers, track+"."+name)
			for _, fold := range []string{foldMax, foldMin, foldSum} {
				s.Numbers = append(s.Numbers, track+"."+fold+"."+name)
			}
		}
	}
	return s
}

// Tracks is the scope of readings of which each track has one: canary.NAME and stable.NAME.
func Tracks(names []string) Scope {
	var s Scope
	for _, track := range []string{Canary, Stable} {
		for _, name := range names {
			s.Numbers = append(s.Numbers, track+"."+name)
		}
	}
	return s
}

// The names in the scope of an HTTP answer.
const (
	Status = "status"  // the code, for example 200
	Took   = "took_ms" // milliseconds until the answer was read
	Body   = "body"    // the text
)

// Answer is the scope of an HTTP answer: status and took_ms are numbers, body is a text.
func Answer() Scope { return Scope{Numbers: []string{Status, Took}, Texts: []string{Body}} }

// ValidName reports whether a reading may be called so: a lower-case word of at most 63 bytes
// that means nothing else in an expression.
func ValidName(name string) bool {
	if name == "" || len(name) > 63 || name[0] >= '0' && name[0] <= '9' {
		return false
	}
	for _, r := range name {
		if !strings.ContainsRune("abcdefghijklmnopqrstuvwxyz0123456789_", r) {
			return false
		}
	}
	return !slices.Contains(reserved(), name)
}

// Values are what is known when an expression is asked: the numbers and texts of its scope, as far
// as there are any. The zero value knows nothing.
type Values struct {
	known map[string]any
}

// Number sets a number. One that is infinite or none (NaN) is no data.
func (v *Values) Number(name string, x float64) {
	if !math.IsNaN(x) && !math.IsInf(x, 0) {
		v.set(name, x)
	}
}

// Text sets a text, of which an expression sees the first MaxText bytes.
func (v *Values) Text(name, text string) {
	if len(text) > MaxText {
		text = text[:MaxText]
	}
	v.set(name, strings.ToValidUTF8(text, "�"))
}

// Spread sets what a track's containers say, as Containers names it: the sum of so many readings,
// the lowest and the highest. Of no reading there are no data.
func (v *Values) Spread(track, name string, readings int, sum, lowest, highest float64) {
	if readings <= 0 {
		return
	}
	v.Number(track+"."+name, sum/float64(readings))
	v.Number(track+"."+foldMax+"."+name, highest)
	v.Number(track+"."+foldMin+"."+name, lowest)
	v.Number(track+"."+foldSum+"."+name, sum)
}

// Private

func (v *Values) set(name string, x any) {
	if v.known == nil {
		v.known = map[string]any{}
	}
	v.known[name] = x
}

// reserved are the words that no reading is called: the folds, and CEL's own.
func reserved() []string {
	return []string{
		foldMax, foldMin, foldSum,
		"true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function", "if",
		"import", "let", "loop", "package", "namespace", "return", "var", "void", "while",
	}
}
