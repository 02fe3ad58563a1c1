package record

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/serin-rollouts/serin/internal/analysis"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// Entry is one entry of a record: exactly one of the fields from Head on is set.
type Entry struct {
	// At is the time on the fleet's clock.
	At time.Duration
	// Line is where it stood, from 1; 0 if nowhere.
	Line int

	Head    *Head
	Step    *Step
	Report  *analysis.Report
	Told    *Told
	Missing *Missing
	Unasked bool // whoever judged asked no condition until now
	Exclude string
	Anew    bool
	Full    bool
	Verdict *analysis.Verdict

	// Apart: of Report, nothing but signals and what containers use is taken in.
	Apart bool
}

// Head says what a record is about.
type Head struct {
	Rollout string `json:"rollout,omitempty"`
	Service string `json:"service,omitempty"`
	// Wall is the time of the entry in Unix milliseconds; 0 if unknown.
	Wall int64 `json:"wall,omitempty"`
	// Gates are what was judged by; nil if unknown.
	Gates *rollout.Gates `json:"gates,omitempty"`
	// Attempt is which evidence of the rollout the record begins with, from 1: each has its own part
	// of the gates' alpha. 0: unknown, all of it.
	Attempt int `json:"attempt,omitempty"`
	// Hosts is how many the rollout has; 0 if unknown.
	Hosts int `json:"hosts,omitempty"`
}

// Step is the beginning of a step.
type Step struct {
	Number   int // from 1
	Baseline analysis.Counts
}

// Told is what a condition came to.
type Told struct {
	Gate string
	Held bool
	Text string
}

// Missing is why a condition had no answer.
type Missing struct{ Gate, Why string }

// Gates names the gates that an entry is for alone: what their conditions came to, or signals of theirs.
func (e Entry) Gates() []string {
	switch {
	case e.Told != nil:
		return []string{e.Told.Gate}
	case e.Missing != nil:
		return []string{e.Missing.Gate}
	case e.Report != nil:
		return slices.Sorted(maps.Keys(e.Report.Signals))
	}
	return nil
}

// LineError is a mistake in the input.
type LineError struct {
	Line int // from 1
	Err  error
}

// Error names the line.
func (e *LineError) Error() string { return fmt.Sprintf("line %d: %v", e.Line, e.Err) }

// Unwrap returns the mistake.
func (e *LineError) Unwrap() error { return e.Err }

// Encode renders an entry as a line, with its end.
func Encode(e Entry) ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(lineOf(e)); err != nil {
		return nil, fmt.Errorf("encode entry: %w", err)
	}
	return b.Bytes(), nil
}

// Decode reads a line. Its error says what is wrong, not where.
func Decode(text []byte) (Entry, error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	var l line
	if err := decoder.Decode(&l); err != nil {
		return Entry{}, plain(err)
	}
	if decoder.More() {
		return Entry{}, errors.New("more than one entry; write each on a line of its own")
	}
	return l.entry()
}

// Private

// millis is a time in milliseconds, exact to the nanosecond.
type millis time.Duration

// MarshalJSON writes 1234 or 1234.000567.
func (m millis) MarshalJSON() ([]byte, error) {
	if m < 0 {
		return nil, fmt.Errorf("time %d is negative", m)
	}
	whole, rest := int64(m/1e6), int64(m%1e6)
	text := strconv.FormatInt(whole, 10)
	if rest > 0 {
		text += strings.TrimRight(fmt.Sprintf(".%06d", rest), "0")
	}
	return []byte(text), nil
}

// UnmarshalJSON reads what MarshalJSON writes: no exponent, up to six decimals.
func (m *millis) UnmarshalJSON(text []byte) error {
	whole, rest, _ := strings.Cut(string(text), ".")
	const most = 1 << 42 // a century and more
	n, err := strconv.ParseUint(whole, 10, 64)
	if err != nil || n > most || len(rest) > 6 {
		return fmt.Errorf("at: %s is no time; write milliseconds since the beginning, for example 1500", text)
	}
	part, err := strconv.ParseUint((rest + "000000")[:6], 10, 64)
	if err != nil {
		return fmt.Errorf("at: %s is no time; write milliseconds since the beginning, for example 1500", text)
	}
	*m = millis(n*1e6 + part)
	return nil
}

// line is an entry in JSON.
type line struct {
	At       *millis           `json:"at"`
	Head     *Head             `json:"head,omitempty"`
	Step     int               `json:"step,omitempty"`
	Baseline *analysis.Counts  `json:"baseline,omitempty"`
	Told     string            `json:"told,omitempty"`
	Missing  string            `json:"missing,omitempty"`
	Unasked  bool              `json:"unasked,omitempty"`
	Held     *bool             `json:"held,omitempty"`
	Text     string            `json:"text,omitempty"`
	Exclude  string            `json:"exclude,omitempty"`
	Anew     bool              `json:"anew,omitempty"`
	Full     bool              `json:"full,omitempty"`
	Verdict  *analysis.Verdict `json:"verdict,omitempty"`
	Apart    bool              `json:"apart,omitempty"`
	*analysis.Report
}

func lineOf(e Entry) line {
	at := millis(e.At)
	l := line{
		At: &at, Head: e.Head, Exclude: e.Exclude, Anew: e.Anew, Full: e.Full, Verdict: e.Verdict,
		Report: e.Report, Apart: e.Apart, Unasked: e.Unasked,
	}
	if s := e.Step; s != nil {
		l.Step = s.Number
		if s.Baseline != (analysis.Counts{}) {
			l.Baseline = &s.Baseline
		}
	}
	if t := e.Told; t != nil {
		l.Told, l.Held, l.Text = t.Gate, &t.Held, t.Text
	}
	if m := e.Missing; m != nil {
		l.Missing, l.Text = m.Gate, m.Why
	}
	return l
}

func (l line) entry() (Entry, error) {
	if l.At == nil {
		return Entry{}, errors.New("at: is needed, in milliseconds")
	}
	e := Entry{At: time.Duration(*l.At), Head: l.Head, Exclude: l.Exclude, Anew: l.Anew, Full: l.Full, Verdict: l.Verdict, Apart: l.Apart, Unasked: l.Unasked}
	kinds := 0
	for _, is := range []bool{l.Head != nil, l.Exclude != "", l.Anew, l.Full, l.Verdict != nil, l.Unasked} {
		if is {
			kinds++
		}
	}
	if l.Step != 0 {
		kinds++
		e.Step = &Step{Number: l.Step}
		if l.Baseline != nil {
			e.Step.Baseline = *l.Baseline
		}
	}
	if l.Told != "" {
		kinds++
		if l.Held == nil {
			return e, errors.New("held: is needed beside told, true or false")
		}
		e.Told = &Told{Gate: l.Told, Held: *l.Held, Text: l.Text}
	}
	if l.Missing != "" {
		kinds++
		e.Missing = &Missing{Gate: l.Missing, Why: l.Text}
	}
	if l.Report != nil {
		kinds++
		e.Report = l.Report
		e.Report.At = e.At
		if err := checkReport(e.Report); err != nil {
			return e, err
		}
	}
	switch {
	case kinds == 0:
		return e, errors.New("says nothing; it needs one of host, step, told, exclude, anew, verdict, head")
	case kinds > 1:
		return e, errors.New("is several entries at once; write each on a line of its own")
	case l.Step < 0:
		return e, fmt.Errorf("step: %d is none; they count from 1", l.Step)
	}
	return e, nil
}

// plain takes the library's name off what it complains of.
func plain(err error) error {
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Errorf("%s: a %s cannot stand here", wrong.Field, wrong.Value)
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("the JSON ends too early; write each entry on one line")
	}
	return errors.New(strings.TrimPrefix(err.Error(), "json: "))
}
