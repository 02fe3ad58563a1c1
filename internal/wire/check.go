package wire

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/serin-rollouts/serin/internal/analysis"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// Bounds of what either side accepts. The same checks run before encoding and
// after decoding, so what can be sent can be read.
const (
	maxReport    = 512 << 10 // bytes of a Health or an Assign
	maxBroadcast = 4 << 10   // bytes of every other message
	maxHost      = 253       // bytes of a host's name
	maxToken     = 128       // bytes of an id, a version, a label's key
	maxValue     = 1 << 10   // bytes of a reference, a path, a label's value
	maxArgument  = 64 << 10  // bytes of an environment value or an argument
	maxText      = 1 << 10   // bytes of words for people; longer ones are cut
	maxServices  = 256       // on one host
	maxInstances = 64        // containers of one service on one host
	maxEntries   = 256       // labels, environment variables, arguments
	maxPrefetch  = 16
	maxLatencies = 1 << 10 // of one service, by instance and route class
	maxGates     = 64      // of one rollout, and route classes
	maxNumber    = 1 << 30
	maxRequests  = 1 << 48 // in one incarnation; the sum of a fleet's still is an int64
	maxDuration  = 366 * 24 * time.Hour
)

// check keeps the first thing that is wrong.
type check struct{ err error }

// that says that something holds, or else what is wrong.
func (c *check) that(ok bool, format string, args ...any) {
	if !ok && c.err == nil {
		c.err = fmt.Errorf(format, args...)
	}
}

// within runs the check of a part and names the part in what it finds.
func (c *check) within(part string, err error) {
	if err != nil {
		c.that(false, "%s: %w", part, err)
	}
}

func (c *check) host(name string) {
	c.that(name != "", "host is missing")
	c.that(len(name) <= maxHost, "host has %d bytes, at most %d are allowed", len(name), maxHost)
	c.that(strings.IndexFunc(name, unprintable) < 0, "host %.80q contains a character that no name has", name)
}

func (c *check) service(name string) {
	c.that(rollout.ValidName(name), "service %.80q is not a name of 1 to 63 of a-z, 0-9, - and _", name)
}

func (c *check) epoch(n uint64) { c.that(n > 0, "epoch is missing") }

func (c *check) size(field, value string, most int) {
	c.that(len(value) <= most, "%s has %d bytes, at most %d are allowed", field, len(value), most)
}

func (c *check) token(field, value string) { c.size(field, value, maxToken) }

func (c *check) number(field string, n, most int) {
	c.that(n >= 0 && n <= most, "%s is out of range 0 to %d", field, most)
}

func (c *check) span(field string, d time.Duration) {
	c.that(d >= 0 && d <= maxDuration, "%s is out of range 0 to %s", field, maxDuration)
}

func (c *check) weight(n int) { c.number("weight", n, rollout.Full) }

func (c *check) counts(field string, n analysis.Counts) {
	// More errors than requests is no mistake: the two are read one after the other.
	c.that(n.Requests >= 0 && n.Errors >= 0, "%s are negative", field)
}

func (c *check) table(field string, m map[string]string, most int) {
	c.that(len(m) <= maxEntries, "%s has %d entries, at most %d are allowed", field, len(m), maxEntries)
	for k, v := range m {
		c.that(k != "", "%s has an entry without a name", field)
		c.size(field+" name", k, maxToken)
		c.size(field+" value", v, most)
	}
}

// text makes words for people fit: valid UTF-8, cut where a character ends.
func text(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= maxText {
		return s
	}
	cut := maxText - len("…")
	for !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}

// about names a service in an error, whatever the other side put there.
func about(service string) string { return fmt.Sprintf("service %.80q", service) }

func unprintable(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }
