package record

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
)

// CSV tells how to read a request log.
type CSV struct {
	// Columns maps what is meant (see Meanings) to the name of the column in the header. What is not
	// mapped is looked for under its own name.
	Columns map[string]string
	// Canary is the value of the column track or version that means canary; all other values mean
	// stable. "canary" if empty.
	Canary string
	// Routes are path prefixes: the longest that fits is a request's route class.
	Routes []string
	// Latency: durations are wanted.
	Latency bool
	// Whole takes in the whole log before it gives the first entry, for one that is not in order of
	// time. Otherwise requests may be older than those before by Disorder.
	Whole bool
}

// Disorder is how much older than the newest before it a request may be in a log that is read as
// it comes: logs are written when requests end, and may tell when they began.
const Disorder = time.Minute

// ErrDisorder means that a request log has to be read with CSV.Whole.
var ErrDisorder = errors.New("the log is not in the order of time")

// Meanings are the columns of a request log that are understood: time and status are needed, and
// one of track and version. Without host all requests are of one host.
func Meanings() []string {
	return []string{
		"time", "host", "track", "version", "instance", "status", "duration_ms", "duration_us", "duration_s", "path",
	}
}

const (
	defaultCanary = "canary"
	mostShown     = 8 // values of stable that an error names
)

// request is one row.
type request struct {
	at       time.Time
	host     string
	canary   bool
	instance string
	failed   bool
	micros   int64 // -1: not known
	path     string
}

// rows reads requests.
type rows struct {
	config CSV
	reader *csv.Reader
	index  map[string]int
	scale  float64 // microseconds in what the duration column counts
	timing int     // index of the duration column; -1: there is none
	canary string
	seen   map[string]bool // values that mean stable, a few
	found  bool            // canary
	line   int
}

func newRows(in io.Reader, config CSV) (*rows, error) {
	buffered := bufio.NewReaderSize(in, 64<<10)
	r := &rows{
		config: config, reader: csv.NewReader(buffered), index: map[string]int{}, timing: -1,
		canary: config.Canary, seen: map[string]bool{},
	}
	if r.canary == "" {
		r.canary = defaultCanary
	}
	first, _ := buffered.Peek(4096) // an error comes again at the first read
	header, _, _ := strings.Cut(string(first), "\n")
	r.reader.Comma = separator(header)
	r.reader.ReuseRecord = true
	names, err := r.reader.Read()
	if errors.Is(err, io.EOF) {
		return nil, errors.New("the log is empty; its first line names the columns")
	}
	if err != nil {
		return nil, lineError(err)
	}
	if err := r.locate(names); err != nil {
		return nil, &LineError{1, err}
	}
	return r, nil
}

// separator is the likeliest one of a header.
func separator(header string) rune {
	best, most := ',', 0
	for _, c := range ",;\t|" {
		if n := strings.Count(header, string(c)); n > most {
			best, most = c, n
		}
	}
	return best
}

// locate finds the columns.
func (r *rows) locate(names []string) error {
	names = slices.Clone(names)
	names[0] = strings.TrimPrefix(names[0], "\ufeff")
	there := strings.Join(names, ", ")
	for meaning := range r.config.Columns {
		if !slices.Contains(Meanings(), meaning) {
			return fmt.Errorf("%q is not known; columns are for %s", meaning, strings.Join(Meanings(), ", "))
		}
	}
	for _, meaning := range Meanings() {
		name, told := r.config.Columns[meaning]
		if !told {
			name = meaning
		}
		at := slices.IndexFunc(names, func(n string) bool { return strings.EqualFold(strings.TrimSpace(n), name) })
		if at < 0 && told {
			return fmt.Errorf("there is no column %q for %s; there are %s", name, meaning, there)
		}
		if at >= 0 {
			r.index[meaning] = at
		}
	}
	for _, either := range [][]string{{"time"}, {"status"}, {"track", "version"}} {
		if !slices.ContainsFunc(either, r.has) {
			return fmt.Errorf("there is no column %s; there are %s: name it with --column %s=NAME", strings.Join(either, " or "), there, either[0])
		}
	}
	return r.locateDuration()
}

func (r *rows) has(meaning string) bool {
	_, is := r.index[meaning]
	return is
}

// locateDuration finds out in which unit durations are.
func (r *rows) locateDuration() error {
	for meaning, scale := range map[string]float64{"duration_ms": 1e3, "duration_us": 1, "duration_s": 1e6} {
		if !r.has(meaning) {
			continue
		}
		if r.timing >= 0 {
			return errors.New("there are two columns of durations; rename the one that is not meant")
		}
		r.timing, r.scale = r.index[meaning], scale
	}
	return nil
}

// next returns the next request, or io.EOF. It is good until the next call.
func (r *rows) next() (request, error) {
	fields, err := r.reader.Read()
	if errors.Is(err, io.EOF) {
		return request{}, io.EOF
	}
	if wrong, is := errors.AsType[*csv.ParseError](err); is && errors.Is(err, csv.ErrFieldCount) {
		return request{}, &LineError{wrong.Line, fmt.Errorf(
			"has %d fields, and the first line names %d columns; leave none out, they may be empty", len(fields), r.reader.FieldsPerRecord)}
	}
	if err != nil {
		return request{}, lineError(err)
	}
	r.line, _ = r.reader.FieldPos(0)
	q, err := r.parse(fields)
	if err != nil {
		return q, &LineError{r.line, err}
	}
	return q, nil
}

func (r *rows) parse(fields []string) (request, error) {
	q := request{host: r.field(fields, "host"), instance: r.field(fields, "instance"), path: r.field(fields, "path"), micros: -1}
	var err error
	if q.at, err = parseTime(r.field(fields, "time")); err != nil {
		return q, err
	}
	if q.failed, err = parseStatus(r.field(fields, "status")); err != nil {
		return q, err
	}
	value := r.field(fields, "track")
	if !r.has("track") {
		value = r.field(fields, "version")
	}
	q.canary = value == r.canary
	r.found = r.found || q.canary
	if !q.canary && len(r.seen) < mostShown {
		r.seen[value] = true
	}
	if r.timing >= 0 {
		q.micros, err = parseDuration(strings.TrimSpace(fields[r.timing]), r.scale)
	}
	return q, err
}

func (r *rows) field(fields []string, meaning string) string {
	at, is := r.index[meaning]
	if !is {
		return ""
	}
	return strings.TrimSpace(fields[at])
}

// parseTime reads a point of time: RFC 3339, with a space in place of the T, or a Unix time in
// seconds, milli-, micro- or nanoseconds, as its size says.
func parseTime(text string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02 15:04:05Z07:00", "2006-01-02 15:04:05", "2006-01-02T15:04:05"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	x, err := strconv.ParseFloat(text, 64)
	if err != nil || !(x > 0 && x < 1e19) {
		return time.Time{}, fmt.Errorf("time: %q is none; write RFC 3339 (2026-11-22T23:56:00Z) or Unix time", text)
	}
	for x > 1e11 { // the year 5138 in seconds
		x /= 1e3
	}
	return time.UnixMicro(int64(x * 1e6)), nil
}

// parseStatus tells whether an answer is a server error. A request that got no answer, as HAProxy
// writes it, is none: the client may have gone.
func parseStatus(text string) (failed bool, err error) {
	if text == "-" || text == "-1" {
		return false, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 100 || n > 999 {
		return false, fmt.Errorf("status: %q is none; it has three digits", text)
	}
	return n >= 500 && n < 600, nil
}

// parseDuration returns microseconds, -1 if nothing is said.
func parseDuration(text string, scale float64) (int64, error) {
	if text == "" || text == "-" || text == "-1" {
		return -1, nil
	}
	x, err := strconv.ParseFloat(text, 64)
	if err != nil || !(x >= 0 && x < 1e12) {
		return -1, fmt.Errorf("duration: %q is none; write a number", text)
	}
	return int64(x*scale + .5), nil
}

func lineError(err error) error {
	if wrong, ok := errors.AsType[*csv.ParseError](err); ok {
		return &LineError{wrong.Line, wrong.Err}
	}
	return fmt.Errorf("read: %w", err)
}
