package bus_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serin-rollouts/serin/internal/bus"
	"github.com/serin-rollouts/serin/internal/bus/bustest"
)

// consume hands each trigger to the channel and answers with what f says.
func consume(t *testing.T, c *bus.Conn, f func(bus.Trigger) error) (triggers <-chan bus.Trigger, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	got, ended := make(chan bus.Trigger, 100), make(chan error, 1)
	go func() {
		ended <- c.ConsumeTriggers(ctx, func(_ context.Context, tr bus.Trigger) error {
			got <- tr
			return f(tr)
		})
	}()
	t.Cleanup(cancel)
	return got, func() {
		cancel()
		if err := receive(t, ended); err != nil {
			t.Errorf("ConsumeTriggers: %v", err)
		}
	}
}

func take(bus.Trigger) error { return nil }

func TestTriggerWaitsForALeader(t *testing.T) {
	s := bustest.Start(t)
	// What `nats pub` does, while nobody leads.
	nc := rawConn(t, s)
	if err := nc.Publish(bus.TriggerSubject("checkout"), []byte(`{"image":"a:1"}`)); err != nil {
		t.Fatal(err)
	}
	if err := nc.FlushWithContext(timeout(t)); err != nil {
		t.Fatal(err)
	}
	got, stop := consume(t, bustest.Connect(t, s), take)
	tr := receive(t, got)
	if tr.Service != "checkout" || string(tr.Data) != `{"image":"a:1"}` || tr.ID != "" || tr.StreamSeq != 1 || tr.Redelivered || tr.At.IsZero() {
		t.Errorf("got %+v", tr)
	}
	stop()
}

// Where the sender is in a trace comes along, however the name is written.
func TestTriggerCarriesItsTrace(t *testing.T) {
	s := bustest.Start(t)
	c := bustest.Connect(t, s)
	for _, name := range []string{"traceparent", "Traceparent", "tracestate"} {
		if err := c.PublishHeader(bus.TriggerSubject("checkout"), bus.Header{name: {"place"}}, nil); err != nil {
			t.Fatal(err)
		}
	}
	flush(t, c)
	got, stop := consume(t, c, take)
	for _, want := range []string{"place", "place", ""} {
		if tr := receive(t, got); tr.Trace != want {
			t.Errorf("got %+v, want %q", tr, want)
		}
	}
	stop()
}

func TestATakenTriggerIsGone(t *testing.T) {
	s := bustest.Start(t)
	c := bustest.Connect(t, s)
	send := func(ids ...string) {
		for _, id := range ids {
			if err := c.PublishHeader(bus.TriggerSubject("checkout"), bus.Header{"Nats-Msg-Id": {id}}, nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	send("ci-1", "ci-2")
	flush(t, c)
	got, stop := consume(t, c, take)
	for _, want := range []string{"ci-1", "ci-2"} {
		if tr := receive(t, got); tr.ID != want {
			t.Errorf("got %+v, want %s", tr, want)
		}
	}
	stop()
	// The next leader's consumer finds nothing left.
	got, stop = consume(t, bustest.Connect(t, s), take)
	send("ci-3")
	if tr := receive(t, got); tr.ID != "ci-3" {
		t.Errorf("delivered again: %+v", tr)
	}
	stop()
}

// A trigger that cannot be carried out is handed over all the same: somebody has
// to say so.
func TestABadTriggerIsHandedOver(t *testing.T) {
	s := bustest.Start(t)
	c := bustest.Connect(t, s)
	large := make([]byte, 900<<10)
	for subject, data := range map[string][]byte{"Bad%20Name": nil, "shop.checkout": nil, "checkout": large} {
		if err := c.Publish(bus.TriggerSubject(subject), data); err != nil {
			t.Fatal(err)
		}
	}
	got, stop := consume(t, c, take)
	for range 3 {
		tr := receive(t, got)
		switch {
		case tr.Service == "checkout" && tr.Wrong == nil && len(tr.Data) == len(large):
		case tr.Service == "" && errors.Is(tr.Wrong, bus.ErrToken), tr.Service == "" && errors.Is(tr.Wrong, bus.ErrSubject):
		default:
			t.Errorf("got %q with %d bytes, wrong %v", tr.Service, len(tr.Data), tr.Wrong)
		}
	}
	stop()
}

func TestRequestIsAnsweredByTheLeaderAndStoredToo(t *testing.T) {
	s := bustest.Start(t)
	leader, ci := bustest.Connect(t, s), bustest.Connect(t, s)
	if _, err := leader.SubscribeTriggers(func(m bus.Msg) {
		if err := m.Respond([]byte("checkout-7")); err != nil {
			t.Errorf("respond: %v", err)
		}
	}); err != nil {
		t.Fatal(err)
	}
	flush(t, leader)
	for range 20 { // a PubAck would win some of these
		m, err := ci.RequestHeader(timeout(t), bus.TriggerSubject("checkout"), bus.Header{"Nats-Msg-Id": {"ci-1"}}, []byte("x"))
		if err != nil || string(m.Data) != "checkout-7" {
			t.Fatalf("got %q, %v", m.Data, err)
		}
	}
	got, stop := consume(t, leader, take)
	if tr := receive(t, got); tr.ID != "ci-1" || string(tr.Data) != "x" {
		t.Errorf("the stored copy: %+v", tr)
	}
	stop()
}

func TestTriggersAreHeardAtOnce(t *testing.T) {
	c := bustest.Connect(t, bustest.Start(t))
	got := make(chan bus.Msg, 2)
	if _, err := c.SubscribeTriggers(func(m bus.Msg) { got <- m }); err != nil {
		t.Fatal(err)
	}
	if err := c.Publish(bus.TriggerSubject("checkout"), []byte("plain")); err != nil {
		t.Fatal(err)
	}
	if m := receive(t, got); string(m.Data) != "plain" || m.Reply != "" {
		t.Errorf("got %q with reply subject %q", m.Data, m.Reply)
	}
	go func() { _, _ = c.Request(t.Context(), bus.TriggerSubject("checkout"), []byte("request")) }()
	if m := receive(t, got); string(m.Data) != "request" || m.Reply == "" {
		t.Errorf("got %q with reply subject %q", m.Data, m.Reply)
	}
}

func TestUntakenTriggerComesAgain(t *testing.T) {
	bustest.Hold(t)
	synctest.Test(t, func(t *testing.T) {
		s := bustest.Start(t)
		c := bustest.Connect(t, s)
		failures := 3
		start := time.Now()
		got, stop := consume(t, c, func(bus.Trigger) error {
			if failures--; failures >= 0 {
				return errors.New("no quorum")
			}
			return nil
		})
		if err := c.Publish(bus.TriggerSubject("checkout"), []byte("x")); err != nil {
			t.Fatal(err)
		}
		for i := range 4 {
			tr := receive(t, got)
			if tr.Redelivered != (i > 0) || tr.StreamSeq != 1 {
				t.Errorf("delivery %d: %+v", i, tr)
			}
			t.Logf("delivery %d at %s", i, time.Since(start))
		}
		time.Sleep(time.Hour) // virtual: taken is taken
		if len(got) > 0 {
			t.Errorf("delivered again: %+v", <-got)
		}
		stop()
	})
}

func TestTriggerOfADeadConsumerGoesToTheNext(t *testing.T) {
	bustest.Hold(t)
	synctest.Test(t, func(t *testing.T) {
		s := bustest.Start(t)
		dying, next := bustest.Connect(t, s), bustest.Connect(t, s)
		hang := make(chan struct{})
		defer close(hang)
		first, _ := consume(t, dying, func(bus.Trigger) error {
			<-hang
			return errors.New("dead")
		})
		if err := next.Publish(bus.TriggerSubject("checkout"), nil); err != nil {
			t.Fatal(err)
		}
		receive(t, first)
		start := time.Now()
		second, stop := consume(t, next, take)
		if tr := receive(t, second); !tr.Redelivered {
			t.Errorf("got %+v", tr)
		}
		t.Logf("redelivered after %s", time.Since(start))
		stop()
	})
}

func timeout(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}
