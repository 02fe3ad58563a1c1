package replica

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"

	"github.com/hashicorp/raft"
	"pgregory.net/rapid"

	"github.com/serin-rollouts/serin/internal/rollout"
	"github.com/serin-rollouts/serin/internal/statefile"
)

// feed applies entries to a machine as Raft would.
func feed(t *testing.T, m *machine, index uint64, e rollout.Entry) any {
	t.Helper()
	data, err := encodeEntry(e)
	if err != nil {
		t.Fatal(err)
	}
	return m.Apply(&raft.Log{Index: index, Term: 1, Data: data})
}

func never(t *testing.T) func(error) {
	t.Helper()
	return func(err error) { t.Errorf("stopped: %v", err) }
}

func loaded(t *testing.T, n uint64) *machine {
	t.Helper()
	m := newMachine(rollout.LevelNewest, never(t))
	for i := range n {
		feed(t, m, i+2, submit(fmt.Sprintf("s%d", i%7), fmt.Sprintf("k%d", i)))
	}
	return m
}

func TestSnapshotRestoresTheStateByteForByte(t *testing.T) {
	m := loaded(t, 50)
	feed(t, m, 60, advance(m.current.Load().state))
	before := stateBytes(t, m.current.Load().state)
	restored := newMachine(rollout.LevelNewest, never(t))
	if err := restored.Restore(io.NopCloser(strings.NewReader(before))); err != nil {
		t.Fatal(err)
	}
	if after := stateBytes(t, restored.current.Load().state); after != before {
		t.Errorf("restored to something else:\n%s\n%s", before, after)
	}
	// And it goes on the same way.
	e := advance(m.current.Load().state)
	feed(t, m, 61, e)
	feed(t, restored, 61, e)
	if stateBytes(t, m.current.Load().state) != stateBytes(t, restored.current.Load().state) {
		t.Error("the restored state went another way")
	}
}

// TestSnapshotKeepsSpecs takes any spec, with whatever gates, through a snapshot.
func TestSnapshotKeepsSpecs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		svc := &rollout.Service{Name: "web", Active: &rollout.Rollout{ID: "web-1"}}
		fill(t, reflect.ValueOf(&svc.Spec).Elem(), 0)
		fill(t, reflect.ValueOf(&svc.Active.Spec).Elem(), 0)
		s := rollout.NewState()
		s.Services["web"] = svc
		data, err := statefile.Encode(s)
		if err != nil {
			t.Fatal(err)
		}
		got, err := statefile.Decode(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		for name, specs := range map[string][2]rollout.Spec{
			"stable": {svc.Spec, got.Services["web"].Spec}, "active": {svc.Active.Spec, got.Services["web"].Active.Spec},
		} {
			if !reflect.DeepEqual(specs[0], specs[1]) {
				t.Fatalf("%s came back as something else:\n%+v\n%+v", name, specs[0], specs[1])
			}
		}
	})
}

func TestSameEntriesSameSnapshot(t *testing.T) {
	one, other := loaded(t, 40), loaded(t, 40)
	if stateBytes(t, one.current.Load().state) != stateBytes(t, other.current.Load().state) {
		t.Error("two replicas with the same log differ")
	}
}

func TestDamagedSnapshotsAreRefused(t *testing.T) {
	good := stateBytes(t, loaded(t, 10).current.Load().state)
	rapid.Check(t, func(t *rapid.T) {
		bad := []byte(good)
		at, bit := rapid.IntRange(0, len(bad)-1).Draw(t, "at"), rapid.IntRange(0, 7).Draw(t, "bit")
		bad[at] ^= 1 << bit
		if s, err := statefile.Decode(bytes.NewReader(bad)); err == nil {
			if data, err := statefile.Encode(s); err != nil || string(data) != good {
				t.Fatalf("a snapshot with bit %d of byte %d flipped was read as another state", bit, at)
			}
		}
		if _, err := statefile.Decode(strings.NewReader(good[:at])); err == nil {
			t.Fatalf("a snapshot cut off at %d of %d was read", at, len(good))
		}
	})
}

func TestForeignSnapshotsAreRefused(t *testing.T) {
	state := func(body string) string {
		s := strings.Replace(stateBytes(t, rollout.NewState()), `{"index"`, body, 1)
		_, rest, _ := strings.Cut(s, "\n")
		return seal(rest)
	}
	for data, want := range map[string]string{
		`{"format":2,"size":2,"sha256":""}` + "\n{}": "newer release",
		`{"format":0}` + "\n{}":                      "makes no sense",
		`{"format":1,"size":2000000000}` + "\n{}":    "makes no sense",
		"hello":                         "header",
		state(`{"shards":4,"index"`):    `"shards"`,
		seal(`{"services":null}`):       "no services",
		seal(`{"services":{"a":null}}`): `"a"`,
	} {
		if _, err := statefile.Decode(strings.NewReader(data)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q: error = %v, want one with %s", data, err, want)
		}
	}
}

// An entry that is not understood, and one that makes Apply panic, stop the
// replica: nothing more is applied, and no snapshot pretends otherwise.
func TestUnknownEntryStopsTheReplica(t *testing.T) {
	for name, apply := range map[string]func(*machine) any{
		"unknown command": func(m *machine) any {
			return m.Apply(&raft.Log{Index: 9, Data: []byte(`{"v":1,"type":"mirror","stamp":{},"command":{}}`)})
		},
		"panic": func(m *machine) any {
			feed(t, m, 8, submit("s1", "k8"))
			impossible := m.current.Load().state.Clone()
			impossible.Services["s1"].Active.Spec.Steps = nil // as no entry makes it
			m.publish(impossible)
			return feed(t, m, 9, advance(impossible))
		},
	} {
		t.Run(name, func(t *testing.T) {
			var stopped []error
			m := newMachine(rollout.LevelNewest, func(err error) { stopped = append(stopped, err) })
			feed(t, m, 2, submit("s0", "k0"))
			err, _ := apply(m).(error)
			if err == nil || !strings.Contains(err.Error(), "entry 9") || len(stopped) != 1 {
				t.Fatalf("error = %v, stopped by %v", err, stopped)
			}
			before := m.current.Load().state.Index
			if _, isError := feed(t, m, 10, submit("s2", "k2")).(error); !isError || m.current.Load().state.Index != before {
				t.Error("entries were applied after that")
			}
			if _, err := m.Snapshot(); err == nil {
				t.Error("a snapshot was taken after that")
			}
		})
	}
}

func TestRestoreFailsLoudly(t *testing.T) {
	var stopped error
	m := newMachine(rollout.LevelNewest, func(err error) { stopped = err })
	if err := m.Restore(io.NopCloser(strings.NewReader("{"))); err == nil || !errors.Is(stopped, err) {
		t.Errorf("error = %v, stopped by %v", err, stopped)
	}
}

func TestPublishedStatesDoNotChange(t *testing.T) {
	m := loaded(t, 3)
	v := m.current.Load()
	before := stateBytes(t, v.state)
	feed(t, m, 20, advance(v.state))
	select {
	case <-v.changed:
	default:
		t.Error("nobody was told of the change")
	}
	if stateBytes(t, v.state) != before {
		t.Error("a published state was changed")
	}
}

// seal makes a snapshot out of any body.
func seal(body string) string {
	return fmt.Sprintf("{\"format\":1,\"size\":%d,\"sha256\":\"%x\"}\n%s", len(body), sha(body), body)
}

func sha(body string) []byte {
	s := sha256.Sum256([]byte(body))
	return s[:]
}
