package haproxy

import (
	"bufio"
	"bytes"
	"errors"
	"strings"
)

const (
	// maxFrame is above the ring's maxlen of 1024.
	maxFrame = 4096
	// maxNames bounds the names the parser keeps: services, slots, and the
	// termination codes (a few dozen).
	maxNames = 4096
	// fields of the log-format in haproxy.cfg.tmpl, before the path.
	logFields = 7
)

// MaxPath is how many bytes of a request's path a Record has.
const MaxPath = 128

// errFrame means that the stream is not octet-counted.
var errFrame = errors.New("not an octet-counted frame")

// readFrame returns the next frame ("<length> <bytes>"), still in r's buffer:
// the caller discards it.
func readFrame(r *bufio.Reader) ([]byte, error) {
	n := 0
	for digits := 0; ; digits++ {
		c, err := r.ReadByte()
		if err != nil {
			return nil, err
		}
		if c == ' ' && digits > 0 {
			break
		}
		if c < '0' || c > '9' || digits > 3 {
			return nil, errFrame
		}
		n = 10*n + int(c-'0')
	}
	if n == 0 || n > maxFrame {
		return nil, errFrame
	}
	return r.Peek(n)
}

// parser turns log lines into Records without allocating, after the first
// sight of each name.
type parser struct {
	names map[string]string
}

func newParser() *parser { return &parser{names: map[string]string{}} }

// parse reads "<backend> <server> <status> <termination> <ms> <us> <want> <path>".
// The path may hold any byte: what stands before it does not.
func (p *parser) parse(line []byte) (Record, bool) {
	var f [logFields][]byte
	rest := bytes.TrimSuffix(line, []byte("\n"))
	for i := range f {
		cut := bytes.IndexByte(rest, ' ')
		if cut < 0 {
			return Record{}, false
		}
		f[i], rest = rest[:cut], rest[cut+1:]
	}
	status, okStatus := number(f[2])
	if len(rest) == 0 || !okStatus || len(f[3]) != 2 {
		return Record{}, false
	}
	micros, ok := micros(f[4], f[5])
	if !ok {
		return Record{}, false
	}
	rec := Record{
		Service: p.name(f[0]), Slot: p.name(f[1]), Status: int(status), Micros: micros,
		Termination: p.name(f[3]), Want: p.name(f[6]),
	}
	if rest[0] == '/' { // not "-", and not "*"
		rec.Path = rest[:min(len(rest), MaxPath)]
	}
	return rec, rec.Service != ""
}

// micros takes the exact time if HAProxy had an answer to measure, its own total
// in milliseconds otherwise.
func micros(ms, us []byte) (int64, bool) {
	if n, ok := number(us); ok && n >= 0 {
		return n, true
	}
	n, ok := number(ms)
	if !ok {
		return 0, false
	}
	if n < 0 {
		return -1, true
	}
	return n * 1000, true
}

// name interns a name; "-" and "<NOSRV>" are none.
func (p *parser) name(b []byte) string {
	if s, ok := p.names[string(b)]; ok { // does not allocate
		return s
	}
	s := string(b)
	switch {
	case s == "-" || strings.HasPrefix(s, "<"):
		s = ""
	case len(s) > 127 || !backendName.MatchString(s):
		return ""
	}
	if len(p.names) >= maxNames {
		return ""
	}
	p.names[string(b)] = s
	return s
}

// number reads a decimal of at most 18 digits, with a sign.
func number(b []byte) (int64, bool) {
	negative := len(b) > 0 && b[0] == '-'
	if negative {
		b = b[1:]
	}
	if len(b) == 0 || len(b) > 18 {
		return 0, false
	}
	var n int64
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = 10*n + int64(c-'0')
	}
	if negative {
		n = -n
	}
	return n, true
}
