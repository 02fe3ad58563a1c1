package embed

import (
	"testing"

	"github.com/rs/zerolog"
)

func TestPeerIDIsTheServersOwn(t *testing.T) {
	for _, name := range []string{"c1", "coordinator-2", "x"} {
		s, err := Start(t.Context(), Config{Name: name, Dir: t.TempDir(), InProcessOnly: true, Log: zerolog.Nop()})
		if err != nil {
			t.Fatal(err)
		}
		if got, want := peerID(name), s.nats.Node(); got != want {
			t.Errorf("%s: %s, the server says %s", name, got, want)
		}
		if err := s.Shutdown(); err != nil {
			t.Error(err)
		}
	}
}
