package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/rs/zerolog"

	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/bus"
	"github.com/serin-rollouts/serin/internal/bus/embed"
	"github.com/serin-rollouts/serin/internal/event"
	"github.com/serin-rollouts/serin/internal/rollout"
)

type fakeKey struct{}

// fake is a coordinator that says what it was told to, on a real bus.
type fake struct {
	ctx    context.Context //nolint:containedctx // the test's; scripts have none
	server *embed.Server
	conn   *bus.Conn
	last   uint64 // event

	mu       sync.Mutex
	answers  map[string][][]byte
	requests map[string][]string
	leads    bool
	receiver receiver
}

func startFake(ctx context.Context, dir string) (*fake, error) {
	ctx, stop := limited(ctx)
	context.AfterFunc(ctx, stop)
	server, err := embed.Start(ctx, embed.Config{Name: "test", Listen: "127.0.0.1:0", Dir: dir, Log: zerolog.Nop()})
	if err != nil {
		return nil, err
	}
	f := &fake{ctx: ctx, server: server, answers: map[string][][]byte{}, requests: map[string][]string{}}
	f.conn, err = bus.Connect(ctx, bus.Config{Name: "fake coordinator", InProcess: server, Log: zerolog.Nop()})
	if err == nil {
		err = errors.Join(server.Ready(ctx), f.conn.EnsureStreams(ctx, 1))
	}
	if err != nil {
		return nil, errors.Join(err, server.Shutdown())
	}
	return f, nil
}

func (f *fake) stop() error {
	f.receiver.close()
	return errors.Join(f.conn.Close(), f.server.Shutdown())
}

// lead begins to answer, once.
func (f *fake) lead() error {
	if f.leads {
		return nil
	}
	f.leads = true
	for _, pattern := range []string{bus.AllTriggers, bus.AllCommands, bus.AllGets} {
		if _, err := f.conn.Subscribe(pattern, f.respond); err != nil {
			return err
		}
	}
	return nil
}

func (f *fake) respond(m bus.Msg) {
	subject := strings.TrimPrefix(m.Subject, bus.Prefix)
	f.mu.Lock()
	f.requests[subject] = append(f.requests[subject], string(m.Data))
	if place := bus.TraceOf(m.Header); place != "" {
		f.requests[subject+" traceparent"] = append(f.requests[subject+" traceparent"], place)
	}
	answers := f.answers[subject]
	if len(answers) > 1 {
		f.answers[subject] = answers[1:]
	}
	f.mu.Unlock()
	data := []byte(`{"ok":false,"code":"unknown","message":"nothing is known about ` + subject + `"}`)
	if len(answers) > 0 {
		data = answers[0]
	}
	if len(data) > 0 { // an empty file is no answer
		_ = m.Respond(data)
	}
}

func (f *fake) answer(subject string, answers ...[]byte) error {
	f.mu.Lock()
	f.answers[subject] = answers
	f.mu.Unlock()
	return f.lead()
}

func (f *fake) answerCommand(ts *testscript.TestScript, args []string) error {
	var answers [][]byte
	for _, file := range args[1:] {
		answers = append(answers, bytes.TrimSpace([]byte(ts.ReadFile(file))))
	}
	return f.answer(args[0], answers...)
}

func (f *fake) okCommand(ts *testscript.TestScript, args []string) error {
	var answers [][]byte
	for _, file := range args[1:] {
		data, err := json.Marshal(api.Answer[json.RawMessage]{Reply: api.Reply{OK: true}, Data: json.RawMessage(ts.ReadFile(file))})
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		answers = append(answers, data)
	}
	return f.answer(args[0], answers...)
}

func (f *fake) leadCommand(*testscript.TestScript, []string) error { return f.lead() }

func (f *fake) requestsCommand(ts *testscript.TestScript, args []string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range f.requests[args[0]] {
		if _, err := fmt.Fprintln(ts.Stdout(), r); err != nil {
			return err
		}
	}
	return nil
}

func (f *fake) seenCommand(_ *testscript.TestScript, args []string) error {
	want, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for {
		f.mu.Lock()
		got := len(f.requests[args[0]])
		f.mu.Unlock()
		if got >= want {
			return nil
		}
		select {
		case <-ticker.C:
		case <-f.ctx.Done():
			return fmt.Errorf("%s was asked %d times, want %d: %w", args[0], got, want, f.ctx.Err())
		}
	}
}

func (f *fake) eventsCommand(ts *testscript.TestScript, args []string) error {
	for text := range strings.Lines(ts.ReadFile(args[0])) {
		var e rollout.Event
		if err := json.Unmarshal([]byte(text), &e); err != nil {
			return fmt.Errorf("%s: %w", text, err)
		}
		if err := f.publish(e); err != nil {
			return err
		}
	}
	return nil
}

func (f *fake) publish(e rollout.Event) error {
	e.Seq = f.last + 1
	data, err := event.Encode(event.Source("test"), e)
	if err != nil {
		return err
	}
	id := e.Rollout
	if id == "" {
		id = "none"
	}
	subject := bus.EventSubject(e.Service, id, string(e.Kind))
	if err := f.conn.PublishEvent(f.ctx, bus.Event{Seq: e.Seq, Subject: subject, Data: data}, f.last); err != nil {
		return err
	}
	f.last = e.Seq
	return nil
}
