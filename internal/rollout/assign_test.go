package rollout_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"testing"

	"github.com/serin-rollouts/serin/internal/rollout"
)

// running is a state in which hosts are on their way from one revision to
// another, as Apply makes it; they take steps from the last to the first.
func running(tb testing.TB, hosts int) *rollout.State {
	tb.Helper()
	s := rollout.NewState()
	submit := rollout.Submit{
		Spec: rollout.Spec{Service: "web", Steps: []rollout.Step{{Hosts: rollout.HostCount{Share: rollout.Full / 2}, Weight: 500}}},
		To:   rollout.Revision{ID: "to", Image: "web@sha256:2"},
	}
	for k := range hosts {
		submit.Hosts = append(submit.Hosts, hostName(hosts-1-k))
	}
	apply := func(c rollout.Command) {
		tb.Helper()
		if r := s.Apply(s.Index+1, rollout.Entry{Command: c}); r.Refused != nil {
			tb.Fatal(r.Refused)
		}
	}
	apply(submit)
	svc := s.Services["web"]
	apply(rollout.Advance{Target: rollout.Target{Service: "web", Rollout: svc.Active.ID, Epoch: svc.Epoch}})
	return s
}

func hostName(k int) string { return fmt.Sprintf("web-%05d", k) }

func encoded(tb testing.TB, s *rollout.State) []byte {
	tb.Helper()
	data, err := json.Marshal(s)
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

// decoded is the state as it comes out of its encoded form.
func decoded(tb testing.TB, s *rollout.State) *rollout.State {
	tb.Helper()
	other := rollout.NewState()
	if err := json.Unmarshal(encoded(tb, s), other); err != nil {
		tb.Fatal(err)
	}
	return other
}

// However a host is found, it is told the same, and nothing of how is encoded.
func TestAssignmentByIndexAndBySearch(t *testing.T) {
	const hosts = 9
	applied := running(t, hosts)
	searched := decoded(t, applied)
	restored := decoded(t, applied)
	restored.Reindex()
	for k := range hosts + 1 {
		name := hostName(k)
		want, known := searched.Assignment("web", name, nil)
		if inWave := want.Stable != nil; known != (k < hosts) || inWave != (k >= hosts/2 && k < hosts) {
			t.Errorf("%s: %+v, %v", name, want, known)
		}
		for from, s := range map[string]*rollout.State{"applied": applied, "cloned": applied.Clone(), "restored": restored} {
			if got, ok := s.Assignment("web", name, nil); ok != known || !reflect.DeepEqual(got, want) {
				t.Errorf("%s, %s: %+v, %v; by search %+v, %v", name, from, got, ok, want, known)
			}
		}
	}
	if got, want := encoded(t, restored), encoded(t, searched); !bytes.Equal(got, want) {
		t.Errorf("encoded %s, want %s", got, want)
	}
}

// A snapshot's hosts are those that it had, also where one stands in it twice.
func TestAssignmentOfAHostNamedTwice(t *testing.T) {
	s := decoded(t, running(t, 4))
	r := s.Services["web"].Active
	r.Hosts = slices.Concat(r.Hosts, r.Hosts[:1])
	want, _ := s.Assignment("web", r.Hosts[0], nil)
	s.Reindex()
	if got, ok := s.Assignment("web", r.Hosts[0], nil); !ok || !reflect.DeepEqual(got, want) || got.Stable == nil {
		t.Errorf("%+v, %v; by search %+v", got, ok, want)
	}
}

// BenchmarkAssignments is what one transition costs a leader that tells every
// host, by the index and by a search for each host.
func BenchmarkAssignments(b *testing.B) {
	for _, hosts := range []int{100, 1_000, 10_000} {
		indexed := running(b, hosts)
		for name, s := range map[string]*rollout.State{"indexed": indexed, "searched": decoded(b, indexed)} {
			b.Run(fmt.Sprintf("hosts=%d/%s", hosts, name), func(b *testing.B) {
				for b.Loop() {
					for k := range hosts {
						if len(s.Assignments(hostName(k), nil)) != 1 {
							b.Fatal("nothing for a host of the rollout")
						}
					}
				}
			})
		}
	}
}
