package condition_test

import (
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/cockroachdb/datadriven"

	"github.com/serin-rollouts/serin/internal/condition"
)

// TestTranscripts compiles and asks the expressions in testdata. Input: scope=(containers|tracks|
// answer), values as name=value.
func TestTranscripts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			t.Helper()
			c, err := condition.Compile(d.Input, scopeOf(t, d.Cmd))
			if err != nil {
				return err.Error() + "\n"
			}
			holds, err := c.Holds(valuesOf(d))
			if err != nil {
				return err.Error() + "\n"
			}
			return strconv.FormatBool(holds) + "\n"
		})
	})
}

// TestNoData keeps "there is no answer" apart from "no": a gate must not fail for want of data, and
// must not pass.
func TestNoData(t *testing.T) {
	c, err := condition.Compile("canary.queue < 10 && canary.max.queue < 20", condition.Containers([]string{"queue"}))
	if err != nil {
		t.Fatal(err)
	}
	var v condition.Values
	for _, x := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		v.Spread(condition.Canary, "queue", 1, x, x, x)
		v.Spread(condition.Canary, "queue", 0, 1, 1, 1)
		if holds, err := c.Holds(v); !errors.Is(err, condition.ErrNoData) || holds {
			t.Errorf("%v: %v, %v", x, holds, err)
		}
	}
	v.Spread(condition.Canary, "queue", 2, 18, 4, 14)
	if holds, err := c.Holds(v); err != nil || !holds {
		t.Errorf("a mean of 9: %v, %v", holds, err)
	}
}

// TestCostIsBounded adds one costly term after the other, until one is too much: the last that was
// let through still has an answer, of the largest text.
func TestCostIsBounded(t *testing.T) {
	var v condition.Values
	v.Text(condition.Body, strings.Repeat("ab", condition.MaxText))
	for _, term := range []string{`body.matches("(a|b)*c")`, `body.matches(".*a.{9}c")`, `body.matches("(a{9}){9}")`} {
		var last *condition.Condition
		text, terms := term, 0
		for ; len(text) <= condition.MaxExpression; text += " || " + term {
			c, err := condition.Compile(text, condition.Answer())
			if err != nil {
				break
			}
			last, terms = c, terms+1
		}
		if last == nil || len(text) > condition.MaxExpression {
			t.Fatalf("%s: %d terms are let through, then %d bytes", term, terms, len(text))
		}
		if holds, err := last.Holds(v); err != nil || holds {
			t.Errorf("%s, %d times: %v, %v", term, terms, holds, err)
		}
	}
	if _, err := condition.Compile(`body.matches(".*a.{999}b")`, condition.Answer()); err == nil {
		t.Error("a short pattern of a thousand states is let through")
	}
}

// TestTextIsClipped wants whole characters where a text is cut off.
func TestTextIsClipped(t *testing.T) {
	c, err := condition.Compile(`body.endsWith("x")`, condition.Answer())
	if err != nil {
		t.Fatal(err)
	}
	var v condition.Values
	v.Text(condition.Body, strings.Repeat("é", condition.MaxText/2)+"x")
	if holds, err := c.Holds(v); err != nil || holds {
		t.Errorf("%v, %v: the end is seen", holds, err)
	}
}

// FuzzCompile wants an answer or a mistake with a place inside the text, and no panic.
func FuzzCompile(f *testing.F) {
	for _, text := range []string{
		"canary.queue < 2 * stable.queue + 10", "canary.max.queue / canary.sum.queue <= 0.5 || status == 200",
		`body.contains("ok") && status in [200, 204] ? took_ms < 5e3 : !(status != 1)`, "((((((((1<2))))))))", "'\\xff'", "a.b.c[d]{e:1}", "has(a.b)",
	} {
		f.Add(text, 1.5)
	}
	scope := condition.Containers([]string{"queue"})
	scope.Numbers = append(scope.Numbers, condition.Answer().Numbers...)
	scope.Texts = condition.Answer().Texts
	f.Fuzz(func(t *testing.T, text string, x float64) {
		c, err := condition.Compile(text, scope)
		if wrong, ok := errors.AsType[*condition.Error](err); ok {
			lines := strings.Split(text, "\n")
			if wrong.Line < 0 || wrong.Line > len(lines) || wrong.Line > 0 && (wrong.Column < 1 || wrong.Column > utf8.RuneCountInString(lines[wrong.Line-1])+1) {
				t.Fatalf("%q: %d:%d is no place in it: %v", text, wrong.Line, wrong.Column, err)
			}
			if wrong.Message == "" || strings.Contains(wrong.Message, "\n") {
				t.Fatalf("%q: the mistake is not told in one line: %q", text, wrong.Message)
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		var v condition.Values
		for range 2 {
			first, errFirst := c.Holds(v)
			again, errAgain := c.Holds(v)
			if first != again || (errFirst == nil) != (errAgain == nil) || errFirst != nil && !errors.Is(errFirst, condition.ErrNoData) {
				t.Fatalf("%q: %v, %v and then %v, %v", text, first, errFirst, again, errAgain)
			}
			v.Spread(condition.Canary, "queue", 2, x, x, x)
			v.Number(condition.Status, x)
			v.Text(condition.Body, text)
		}
	})
}

func scopeOf(t *testing.T, name string) condition.Scope {
	t.Helper()
	switch name {
	case "containers":
		return condition.Containers([]string{"queue", "open"})
	case "tracks":
		return condition.Tracks([]string{"queue", "open"})
	case "answer":
		return condition.Answer()
	}
	t.Fatalf("no scope %s", name)
	return condition.Scope{}
}

func valuesOf(d *datadriven.TestData) condition.Values {
	var v condition.Values
	for _, arg := range d.CmdArgs {
		var numbers []float64
		for _, text := range arg.Vals {
			if x, err := strconv.ParseFloat(text, 64); err == nil {
				numbers = append(numbers, x)
			}
		}
		track, name, dotted := strings.Cut(arg.Key, ".")
		switch {
		case arg.Key == condition.Body:
			v.Text(condition.Body, arg.Vals[0])
		case dotted && d.Cmd == "containers":
			sum := 0.0
			for _, x := range numbers {
				sum += x
			}
			v.Spread(track, name, len(numbers), sum, slices.Min(numbers), slices.Max(numbers))
		default:
			v.Number(arg.Key, numbers[0])
		}
	}
	return v
}
