package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/serin-rollouts/serin/internal/bus"
)

// Unreachable means that no coordinator answered in time.
type Unreachable struct {
	Servers string        // that were tried
	Waited  time.Duration // zero if not to be told
	// Connected: the bus is there, but nobody answers on it.
	Connected bool
	// Unsure: the question was sent, and may have been carried out.
	Unsure bool
	// Stored: the trigger waits on the bus for a leader.
	Stored  bool
	Trouble string // what the connection last complained of; may be empty
}

// Error says what is wrong and what to do about it.
func (u *Unreachable) Error() string {
	within := ""
	if u.Waited > 0 {
		within = " within " + u.Waited.String()
	}
	b := &strings.Builder{}
	switch {
	case u.forbidden():
		fmt.Fprintf(b, "not permitted at %s (%s); name credentials that may, with --creds or --cert", u.Servers, u.Trouble)
		return b.String()
	case !u.Connected:
		fmt.Fprintf(b, "no server answers at %s%s", u.Servers, within)
		if u.Trouble != "" {
			fmt.Fprintf(b, " (%s)", u.Trouble)
		}
		b.WriteString("; does a coordinator run there? --server or SERIN_SERVER names another")
		return b.String()
	case u.Unsure:
		fmt.Fprintf(b, "sent, but no leader answered%s; see `serin status` for whether it was carried out", within)
	default:
		fmt.Fprintf(b, "no coordinator leads at %s: none answered%s; if two of three replicas run, a leader is there after seconds: try again with --timeout 1m", u.Servers, within)
	}
	if u.Stored {
		b.WriteString("; the trigger is kept and will be carried out by the next leader")
	}
	return b.String()
}

// Private

func (u *Unreachable) forbidden() bool {
	text := strings.ToLower(u.Trouble)
	return strings.Contains(text, "permissions violation") || strings.Contains(text, "authorization") ||
		strings.Contains(text, "authentication")
}

func (c *Client) unreachable(q question, err error) *Unreachable {
	unanswered := !errors.Is(err, bus.ErrNoResponders) && !errors.Is(err, bus.ErrNotConnected)
	return &Unreachable{
		Servers: strings.Join(c.servers, ","), Waited: q.wait, Connected: c.conn.Connected(),
		Unsure: unanswered && !q.again, Stored: unanswered && q.stored, Trouble: c.trouble.said(),
	}
}

// trouble is where the connection logs to: it keeps the last complaint, which
// is often the reason why nobody answers.
type trouble struct {
	next io.Writer

	mu       sync.Mutex
	last     string
	watchers map[*func()]struct{}
}

// watch calls f after each complaint, until it is forgotten.
func (t *trouble) watch(f func()) (forget func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.watchers == nil {
		t.watchers = map[*func()]struct{}{}
	}
	t.watchers[&f] = struct{}{}
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		delete(t.watchers, &f)
	}
}

// Write takes one line of JSON from the logger.
func (t *trouble) Write(line []byte) (int, error) {
	var entry struct{ Level, Error string }
	if json.Unmarshal(line, &entry) == nil && entry.Error != "" {
		for _, f := range t.keep(entry.Error) {
			f()
		}
	}
	if t.next == nil {
		return len(line), nil
	}
	return t.next.Write(line)
}

// keep notes a complaint, and returns who wants to know.
func (t *trouble) keep(text string) []func() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = text
	var all []func()
	for f := range t.watchers {
		all = append(all, *f)
	}
	return all
}

// forbidsReading reports whether the last complaint is that a stream may not be
// read. That a reader may not take its cursor away is no reason to stop.
func (t *trouble) forbidsReading() bool {
	text := t.said()
	return (&Unreachable{Trouble: text}).forbidden() && strings.Contains(text, `"$JS.API.`) && !strings.Contains(text, ".DELETE.")
}

// forbids reports whether the last complaint is that nothing may be sent there:
// then asking again is in vain.
func (t *trouble) forbids(subject string) bool {
	text := t.said()
	return (&Unreachable{Trouble: text}).forbidden() && strings.Contains(text, `"`+subject+`"`)
}

func (t *trouble) said() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.last
}
