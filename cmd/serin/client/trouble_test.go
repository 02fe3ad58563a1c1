package client

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/rs/zerolog"
)

func TestUnreachableSaysWhatToDo(t *testing.T) {
	for name, x := range map[string]struct {
		err  Unreachable
		want []string
	}{
		"no server": {
			Unreachable{Servers: "nats://a:4222", Waited: 3e9, Trouble: "connection refused"},
			[]string{"no server answers at nats://a:4222 within 3s (connection refused)", "SERIN_SERVER"},
		},
		"no leader": {Unreachable{Servers: "nats://a:4222", Connected: true, Waited: 3e9}, []string{"no coordinator leads", "--timeout 1m"}},
		"wrong password": {
			Unreachable{Servers: "nats://a:4222", Trouble: "nats: Authorization Violation"},
			[]string{"not permitted at nats://a:4222 (nats: Authorization Violation)", "--creds"},
		},
		"forbidden": {
			Unreachable{Connected: true, Stored: true, Trouble: `nats: permissions violation: Permissions Violation for Publish to "serin.v1.trigger.a"`},
			[]string{"not permitted", "serin.v1.trigger.a"},
		},
		"kept":   {Unreachable{Connected: true, Stored: true}, []string{"carried out by the next leader"}},
		"unsure": {Unreachable{Connected: true, Unsure: true, Waited: 1e9}, []string{"sent, but no leader answered within 1s", "serin status"}},
	} {
		for _, want := range x.want {
			if got := x.err.Error(); !strings.Contains(got, want) {
				t.Errorf("%s: %q does not say %q", name, got, want)
			}
		}
	}
}

func TestTroubleKeepsTheLastComplaint(t *testing.T) {
	var next strings.Builder
	trouble := &trouble{next: &next}
	log := zerolog.New(trouble)
	log.Warn().Err(errors.New("connection refused")).Msg("bus not reachable, trying on")
	log.Info().Msg("connected to bus")
	if got := trouble.said(); got != "connection refused" {
		t.Errorf("said %q", got)
	}
	if n := strings.Count(next.String(), "\n"); n != 2 {
		t.Errorf("passed %d lines on, want 2", n)
	}
	if _, err := fmt.Fprint(trouble, "no JSON"); err != nil || trouble.said() != "connection refused" {
		t.Errorf("no JSON: %v, said %q", err, trouble.said())
	}
}

// TestTroubleForbids only what the server's complaint is about.
func TestTroubleForbids(t *testing.T) {
	trouble := &trouble{}
	log := zerolog.New(trouble)
	log.Error().Err(errors.New(`nats: permissions violation: Permissions Violation for Publish to "serin.v1.get.hosts"`)).Msg("bus refused an operation")
	if !trouble.forbids("serin.v1.get.hosts") || trouble.forbids("serin.v1.get.host") || trouble.forbids("serin.v1.trigger.a") {
		t.Error("forbids something else than serin.v1.get.hosts")
	}
	log.Warn().Err(errors.New(`dial "serin.v1.get.hosts"`)).Msg("bus not reachable, trying on")
	if trouble.forbids("serin.v1.get.hosts") {
		t.Error("an address that cannot be reached forbids nothing")
	}
}

// TestTroubleTellsWhoReads: what may not be read ends a reader, what else goes
// wrong does not.
func TestTroubleTellsWhoReads(t *testing.T) {
	c := &Client{trouble: &trouble{}}
	log := zerolog.New(c.trouble)
	forbid := func(subject string) {
		log.Error().Err(errors.New(`nats: permissions violation: Permissions Violation for Publish to "` + subject + `"`)).Msg("bus refused an operation")
	}
	ctx, release := c.permitted(t.Context())
	forbid("$JS.API.CONSUMER.DELETE.SERIN_EVENTS.x")
	forbid("serin.v1.get.hosts")
	log.Warn().Err(errors.New("connection refused")).Msg("bus not reachable, trying on")
	if ctx.Err() != nil {
		t.Fatalf("ended: %v", context.Cause(ctx))
	}
	forbid("$JS.API.STREAM.INFO.SERIN_EVENTS")
	if said := fmt.Sprint(context.Cause(ctx)); !strings.Contains(said, "not permitted") {
		t.Errorf("ended by %s", said)
	}
	release()
	if n := len(c.trouble.watchers); n != 0 {
		t.Errorf("%d still watch", n)
	}
}
