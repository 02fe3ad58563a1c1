package agent

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/serin-rollouts/serin/internal/bus"
	"github.com/serin-rollouts/serin/internal/wire"
)

// TestResolve: a coordinator has an image pinned by a host's Docker.
func TestResolve(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.revision("1", 1)
		time.Sleep(time.Second) // the agent subscribes meanwhile
		ask := func(image string) wire.Resolved {
			ctx, cancel := context.WithTimeout(b.t.Context(), time.Minute)
			defer cancel()
			data, err := wire.EncodeResolve(wire.Resolve{Image: image})
			if err != nil {
				t.Fatal(err)
			}
			m, err := b.conn.Request(ctx, bus.ResolveSubject(host), data)
			if err != nil {
				t.Fatal(err)
			}
			r, err := wire.DecodeResolved(m.Data)
			if err != nil {
				t.Fatal(err)
			}
			return r
		}
		if r := ask("shop:1"); r.Image != b.images["1"] || !r.Local || r.Error != "" {
			t.Errorf("%+v, want %s", r, b.images["1"])
		}
		if r := ask("shop:none"); r.Image != "" || !strings.Contains(r.Error, "shop:none") {
			t.Errorf("%+v", r)
		}
	})
}
