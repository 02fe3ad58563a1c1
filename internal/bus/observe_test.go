package bus_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/serin-rollouts/serin/internal/bus"
	"github.com/serin-rollouts/serin/internal/bus/bustest"
)

func TestEventsAreSelected(t *testing.T) {
	c := bustest.Connect(t, bustest.Start(t))
	var prev uint64
	for i, subject := range []string{
		bus.EventSubject("checkout", "checkout-1", "started"),
		bus.EventSubject("search", "search-1", "started"),
		bus.EventSubject("checkout", "checkout-1", "step.started"),
		bus.EventSubject("checkout", "checkout-2", "started"),
		bus.EventSubject("search", "search-1", "rolledback"),
	} {
		seq := uint64(10 * (i + 1))
		if err := c.PublishEvent(t.Context(), bus.Event{Seq: seq, Subject: subject}, prev); err != nil {
			t.Fatal(err)
		}
		prev = seq
	}
	for name, x := range map[string]struct {
		filter bus.Filter
		want   []uint64
	}{
		"all":           {bus.Filter{}, []uint64{10, 20, 30, 40, 50}},
		"service":       {bus.Filter{Service: "search"}, []uint64{20, 50}},
		"rollout":       {bus.Filter{Rollout: "checkout-1"}, []uint64{10, 30}},
		"kind":          {bus.Filter{Kind: "started"}, []uint64{10, 20, 40}},
		"dotted kind":   {bus.Filter{Kind: "step.started"}, []uint64{30}},
		"nothing":       {bus.Filter{Service: "nobody"}, nil},
		"from first":    {bus.Filter{FromSeq: 1}, []uint64{10, 20, 30, 40, 50}},
		"from present":  {bus.Filter{FromSeq: 30}, []uint64{30, 40, 50}},
		"from between":  {bus.Filter{FromSeq: 31}, []uint64{40, 50}},
		"from future":   {bus.Filter{FromSeq: 51}, nil},
		"from, service": {bus.Filter{FromSeq: 21, Service: "search"}, []uint64{50}},
		"since long":    {bus.Filter{Since: time.Now().Add(-time.Hour)}, []uint64{10, 20, 30, 40, 50}},
		"since future":  {bus.Filter{Since: time.Now().Add(time.Hour)}, nil},
	} {
		if got := stored(t, c, x.filter); !slices.Equal(got, x.want) {
			t.Errorf("%s: got %v, want %v", name, got, x.want)
		}
	}
	for _, f := range []bus.Filter{{Service: "*"}, {Rollout: ">"}, {Kind: "a..b"}} {
		if err := c.Events(t.Context(), f, nil); !errors.Is(err, bus.ErrToken) {
			t.Errorf("%+v: %v", f, err)
		}
	}
}

func TestEventsEndWithTheReceiverOrTheContext(t *testing.T) {
	c := bustest.Connect(t, bustest.Start(t))
	publish(t, c, 0, 1, 2, 3)
	enough := errors.New("enough")
	count := 0
	err := c.Events(t.Context(), bus.Filter{Follow: true}, func(bus.EventMsg) error {
		if count++; count == 2 {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) || count != 2 {
		t.Errorf("receiver's error: %v after %d", err, count)
	}
	ctx, cancel := context.WithCancel(t.Context())
	err = c.Events(ctx, bus.Filter{Follow: true}, func(m bus.EventMsg) error {
		if m.Seq == 3 {
			cancel()
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("context: %v", err)
	}
}

func TestFollowersSeeStoredAndNewEvents(t *testing.T) {
	s := bustest.Start(t)
	c := bustest.Connect(t, s)
	publish(t, c, 0, 1, 2)
	got := make(chan bus.EventMsg, 10)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	observer := bustest.Connect(t, s)
	ended := make(chan error, 1)
	go func() {
		ended <- observer.Events(ctx, bus.Filter{FromSeq: 2, Follow: true}, func(m bus.EventMsg) error {
			got <- m
			return nil
		})
	}()
	m := receive(t, got)
	if m.Seq != 2 || m.Service != "checkout" || m.Rollout != "checkout-7" || m.Kind != "step.started" || string(m.Data) != `{"id":"2"}` {
		t.Errorf("got %+v", m)
	}
	publish(t, c, 2, 3)
	if m := receive(t, got); m.Seq != 3 {
		t.Errorf("got %+v", m)
	}
	cancel()
	if err := receive(t, ended); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
