package e2e

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/identity"
	"github.com/serin-rollouts/serin/internal/identity/identitytest"
	"github.com/serin-rollouts/serin/internal/localfleet"
)

// TestTLS: everybody has a certificate of one authority. Who has none, or one
// of another authority, is not let in.
func TestTLS(t *testing.T) {
	t.Parallel()
	ca, foreign := identitytest.New(t), identitytest.New(t)
	identities := map[string]identity.Files{}
	f := newFleet(t, localfleet.Config{Name: "tls", Hosts: 3, Replicas: 3, TLS: func(name string) identity.Files {
		if _, ok := identities[name]; !ok {
			identities[name] = ca.Leaf(t, name)
		}
		return identities[name]
	}})
	intruder := foreign.Leaf(t, "intruder")
	intruder.CA = ca.Leaf(t, "any").CA // it trusts us, we do not trust it
	f.Hosts[1].TLS, f.Hosts[1].Later = &identity.Files{}, true
	f.Hosts[2].TLS, f.Hosts[2].Later = &intruder, true
	w := up(t, f)

	file := filepath.Join(w.Dir, "rollout.yaml")
	writeFile(t, file, w.file("v1", "[{weight: 100%}]"))
	strangers := f.Hosts[1:]
	for _, h := range strangers {
		if err := w.Start(h.Name); err != nil {
			t.Fatal(err)
		}
	}
	w.serin(0, "start", file, "--timeout", "5m")
	w.wantTidy("v1")
	for _, h := range strangers {
		eventually(t, h.Name+" is refused", func() error {
			log, err := os.ReadFile(filepath.Join(w.Dir, h.Name+".log"))
			if err == nil && !bytes.Contains(log, []byte("tls")) {
				err = errors.New("its log does not speak of tls: " + string(log))
			}
			return err
		})
	}
	if hosts := ask[[]api.HostStatus](w, api.GetHosts, ""); len(hosts) != 1 || hosts[0].Host != f.Hosts[0].Name {
		t.Errorf("hosts are %+v, want %s alone", hosts, f.Hosts[0].Name)
	}
	t.Log(w.serin(0, "cluster", "status"))
	w.TLS = nil
	w.serin(exitNoLeader, "status", "--timeout", "2s")
}
