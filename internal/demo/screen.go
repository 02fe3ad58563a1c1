package demo

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/serin-rollouts/serin/internal/localfleet"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// screen shows progress: lines for what happened and, on a terminal, one line
// below them that is redrawn.
type screen struct {
	out   io.Writer
	live  bool
	quiet bool // shows no progress

	mu     sync.Mutex
	status string
}

const eraseLine = "\r\x1b[2K"

// line prints one line of what happened.
func (s *screen) line(text string) {
	if s.quiet {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.live && s.status != "" {
		_, _ = io.WriteString(s.out, eraseLine)
	}
	_, _ = fmt.Fprintf(s.out, "%s %s\n", time.Now().Format(time.TimeOnly), text)
	if s.live {
		_, _ = io.WriteString(s.out, s.status)
	}
}

// write prints text as it is.
func (s *screen) write(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, _ = io.WriteString(s.out, text)
}

// show replaces the status line; without a terminal it does nothing.
func (s *screen) show(status string) {
	if !s.live {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status = status
	_, _ = io.WriteString(s.out, eraseLine+status)
}

func eventLine(e rollout.Event) string {
	return fmt.Sprintf("%s %s", e.Rollout, e.Text)
}

// statusLine renders the load: "2041 requests, 0 failed, 3 bad answers; 10.2% from v2".
func statusLine(s localfleet.Stats, version string) string {
	share := 0.0
	if s.Requests > 0 {
		share = 100 * float64(s.Versions[version]) / float64(s.Requests)
	}
	return fmt.Sprintf("  %d requests, %d failed, %d bad answers; %.1f%% from %s", s.Requests, s.Failed, s.AppErrors, share, version)
}
