package bus_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/serin-rollouts/serin/internal/bus"
	"github.com/serin-rollouts/serin/internal/bus/bustest"
	"github.com/serin-rollouts/serin/internal/bus/embed"
)

// serve runs a service until the returned function is called, which returns
// what Serve returned.
func serve(t *testing.T, c *bus.Conn, handlers map[string]bus.Handler) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		err := c.Serve(ctx, bus.ServiceInfo{Name: "serin-coordinator", Version: "1.2.3", Description: "test"}, handlers)
		if err != nil {
			t.Errorf("Serve: %v", err)
		}
		ended <- err
	}()
	t.Cleanup(cancel)
	return func() error {
		cancel()
		return receive(t, ended)
	}
}

func TestServeAnswersPatternsAndCarriesRefusals(t *testing.T) {
	s := bustest.StartEmpty(t)
	c := bustest.Connect(t, s)
	stop := serve(t, bustest.Connect(t, s), map[string]bus.Handler{
		bus.AllCommands: func(_ context.Context, m bus.Msg) ([]byte, error) {
			verb, service, err := bus.ParseCommand(m.Subject)
			switch verb {
			case "pause":
				return []byte("paused " + service), err
			case "abort":
				return []byte(`{"ok":false}`), &bus.ServiceError{Code: "conflict", Description: "nothing to abort"}
			default:
				return nil, errors.New("broken")
			}
		},
		bus.AllGets: func(_ context.Context, m bus.Msg) ([]byte, error) {
			if what, _, _ := bus.ParseGet(m.Subject); what == "silent" {
				return nil, bus.ErrSilent
			}
			return m.Data, nil
		},
	})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	eventually(t, "the service is there", func() bool {
		m, err := c.Request(ctx, bus.GetSubject("echo", ""), []byte("x"))
		return err == nil && string(m.Data) == "x"
	})
	if m, err := c.Request(ctx, bus.CommandSubject("pause", "checkout"), nil); err != nil || string(m.Data) != "paused checkout" {
		t.Errorf("pause: %q, %v", m.Data, err)
	}
	m, err := c.Request(ctx, bus.CommandSubject("abort", "checkout"), nil)
	if se, ok := errors.AsType[*bus.ServiceError](err); !ok || se.Code != "conflict" || se.Error() != "nothing to abort" || string(m.Data) != `{"ok":false}` {
		t.Errorf("abort: %q, %v", m.Data, err)
	}
	_, err = c.Request(ctx, bus.CommandSubject("other", "checkout"), nil)
	if se, ok := errors.AsType[*bus.ServiceError](err); !ok || se.Code != bus.CodeInternal {
		t.Errorf("other: %v", err)
	}
	if err := stop(); err != nil {
		t.Errorf("Serve: %v", err)
	}
	eventually(t, "the endpoints are gone", func() bool {
		// What the server passes on while it notices the end is lost.
		short, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
		defer cancel()
		_, err := c.Request(short, bus.GetSubject("echo", ""), nil)
		return errors.Is(err, bus.ErrNoResponders)
	})
}

func TestServiceIsFoundByNATSTools(t *testing.T) {
	s := bustest.StartEmpty(t)
	stop := serve(t, bustest.Connect(t, s), map[string]bus.Handler{
		bus.AllCommands: func(context.Context, bus.Msg) ([]byte, error) { return nil, nil },
		bus.AllGets:     func(context.Context, bus.Msg) ([]byte, error) { return nil, nil },
	})
	nc := rawConn(t, s)
	var info micro.Info
	eventually(t, "the service shows", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		reply, err := nc.RequestWithContext(ctx, "$SRV.INFO.serin-coordinator", nil)
		return err == nil && json.Unmarshal(reply.Data, &info) == nil && len(info.Endpoints) == 2
	})
	if info.Version != "1.2.3" || info.Endpoints[0].Subject != bus.AllCommands || info.Endpoints[0].Name != "cmd-any-any" {
		t.Errorf("got %+v", info)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

func TestServeWaitsForItsHandlers(t *testing.T) {
	s := bustest.StartEmpty(t)
	c := bustest.Connect(t, s)
	entered, ended := make(chan struct{}), false
	stop := serve(t, bustest.Connect(t, s), map[string]bus.Handler{
		bus.AllGets: func(ctx context.Context, _ bus.Msg) ([]byte, error) {
			close(entered)
			<-ctx.Done()
			ended = true
			return []byte("late"), nil
		},
	})
	answer := make(chan string, 1)
	eventually(t, "the service is there", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		go func() {
			m, _ := c.Request(t.Context(), bus.GetSubject("x", ""), nil)
			answer <- string(m.Data)
		}()
		select {
		case <-entered:
			return true
		case <-answer:
			return false
		case <-ctx.Done():
			return false
		}
	})
	if err := stop(); err != nil || !ended {
		t.Errorf("Serve returned %v, handler ended: %t", err, ended)
	}
	if got := receive(t, answer); got != "late" {
		t.Errorf("the last answer was lost: %q", got)
	}
}

func rawConn(t *testing.T, s *embed.Server) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect("", nats.InProcessServer(s))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}
