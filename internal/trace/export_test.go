package trace_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/serin-rollouts/serin/internal/trace"
	"github.com/serin-rollouts/serin/internal/trace/tracetest"
)

func env(pairs ...string) func(string) string {
	m := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return func(name string) string { return m[name] }
}

func shut(t *testing.T, x *trace.Exporter) {
	t.Helper()
	if err := x.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// What is exported arrives as it was, over a real connection.
func TestExport(t *testing.T) {
	var c tracetest.Collector
	server := httptest.NewServer(&c)
	defer server.Close()
	x := trace.Open(t.Context(), trace.Config{
		Env:     env("OTEL_EXPORTER_OTLP_ENDPOINT", server.URL+"/otel", "OTEL_EXPORTER_OTLP_HEADERS", "api-key=a%20b, x=y", "OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
		Program: "serin-test", Log: zerolog.Nop(),
	})
	root := trace.Context{Trace: [16]byte{1}, Span: [8]byte{2}, Sampled: true}
	began := time.UnixMilli(1_700_000_000_000)
	x.Export(trace.Span{
		Name: "rollout", At: root, Start: began.UnixMicro(), End: began.UnixMicro() + 5, Outcome: trace.Failed, Text: "5xx",
		Attributes: []trace.Attribute{{Key: "a", Value: "b"}, {Key: "n", Value: int64(7)}, {Key: "f", Value: 0.5}}, Notes: []trace.Note{{Name: "paused"}},
	})
	x.Export(trace.Op{Name: "pull", Text: "pull x", Host: "web-1", Parent: root, Start: began, End: began.Add(time.Second), Tries: 2, Err: errors.New("no such image")}.Span())
	unsampled := root
	unsampled.Sampled = false
	x.Export(trace.Op{Name: "left out", Parent: unsampled, Start: began, End: began}.Span())
	shut(t, x)
	if header := c.Header(); header.Get("api-key") != "a b" || header.Get("x") != "y" {
		t.Errorf("headers: %v", header)
	}
	spans := c.Spans()
	if len(spans) != 2 {
		t.Fatalf("%d spans: %+v", len(spans), spans)
	}
	if s := spans[0]; s.Trace != "01000000000000000000000000000000" || s.ID != "0200000000000000" || s.Parent != "" || s.Program != "serin-test" ||
		s.Start != 1_700_000_000_000_000_000 || s.End != s.Start+5000 || !s.Failed || s.Text != "5xx" || s.Attributes["a"] != "b" ||
		s.Attributes["n"] != "7" || s.Attributes["f"] != "0.5" || len(s.Notes) != 1 || s.Notes[0] != "paused" {
		t.Errorf("%+v", s)
	}
	if s := spans[1]; s.Trace != spans[0].Trace || s.Parent != spans[0].ID || s.ID == "" || s.ID == s.Parent || !s.Failed ||
		s.Attributes["host.name"] != "web-1" || s.Attributes["serin.tries"] != "2" || s.End-s.Start != 1e9 {
		t.Errorf("%+v", s)
	}
	if stats, on := x.Stats(); stats != (trace.Stats{Exported: 2}) || !on {
		t.Errorf("stats: %+v, %v", stats, on)
	}
}

// A collector that is away blocks nobody: what is too much is dropped, and counted.
func TestCollectorAway(t *testing.T) {
	const most, sent = 2048, 3000
	synctest.Test(t, func(t *testing.T) {
		var c tracetest.Collector
		var said bytes.Buffer
		c.Refuse(http.StatusServiceUnavailable)
		x := trace.Open(t.Context(), trace.Config{Env: env("OTEL_TRACES_EXPORTER", "otlp"), Transport: &c, Log: zerolog.New(&said)})
		defer shut(t, x)
		op := trace.Op{Name: "pull", Parent: trace.Context{Trace: [16]byte{1}, Span: [8]byte{2}, Sampled: true}}
		began := time.Now()
		for range sent {
			x.Export(op.Span())
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("the caller waited for %s", took)
		}
		if stats, _ := x.Stats(); stats != (trace.Stats{Dropped: sent - most}) {
			t.Errorf("at first: %+v", stats)
		}
		time.Sleep(10 * time.Minute)
		if stats, _ := x.Stats(); stats != (trace.Stats{Dropped: sent}) {
			t.Errorf("when nobody tries any more: %+v", stats)
		}
		c.Refuse(http.StatusBadRequest) // for good
		x.Export(op.Span())
		time.Sleep(2 * time.Second)
		if stats, _ := x.Stats(); stats != (trace.Stats{Dropped: sent + 1}) {
			t.Errorf("when it is refused for good: %+v", stats)
		}
		if n := strings.Count(said.String(), "takes no spans"); n != 1 || !strings.Contains(said.String(), "503") {
			t.Errorf("%d complaints: %s", n, said.String())
		}
		c.Refuse(0)
		x.Export(op.Span())
		time.Sleep(2 * time.Second)
		if stats, _ := x.Stats(); stats != (trace.Stats{Dropped: sent + 1, Exported: 1}) || len(c.Spans()) != 1 {
			t.Errorf("when it is back: %+v", stats)
		}
	})
}

// A collector that hangs does not keep a process from its end.
func TestCloseIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := trace.Open(t.Context(), trace.Config{Env: env("OTEL_TRACES_EXPORTER", "otlp"), Transport: hung{}, Log: zerolog.Nop()})
		x.Export(trace.Op{Name: "pull", Parent: trace.Context{Trace: [16]byte{1}, Span: [8]byte{2}, Sampled: true}}.Span())
		began := time.Now()
		shut(t, x)
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("it took %s", took)
		}
	})
}

// hung is a collector that does not answer.
type hung struct{}

func (hung) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, context.Cause(r.Context())
}

// Without a collector there is nothing; what is wrong is named.
func TestOff(t *testing.T) {
	none := filepath.Join(t.TempDir(), "none.pem")
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	const on = "OTEL_EXPORTER_OTLP_ENDPOINT"
	for name, c := range map[string]struct {
		env  func(string) string
		says string
	}{
		"nothing":     {nil, ""},
		"not named":   {env(), ""},
		"disabled":    {env(on, "http://x:4318", "OTEL_SDK_DISABLED", "True"), ""},
		"none":        {env(on, "http://x:4318", "OTEL_TRACES_EXPORTER", "none"), ""},
		"grpc":        {env(on, "http://x:4317", "OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"), "OTEL_EXPORTER_OTLP_PROTOCOL"},
		"no URL":      {env(on, "collector:4318"), on},
		"no URL, own": {env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "nonsense"), "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"},
		"headers":     {env(on, "http://x", "OTEL_EXPORTER_OTLP_HEADERS", "secret"), "OTEL_EXPORTER_OTLP_HEADERS"},
		"timeout":     {env(on, "http://x", "OTEL_EXPORTER_OTLP_TIMEOUT", "10s"), "OTEL_EXPORTER_OTLP_TIMEOUT"},
		"compression": {env(on, "http://x", "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "zip"), "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION"},
		"certificate": {env(on, "https://x", "OTEL_EXPORTER_OTLP_CERTIFICATE", none), "OTEL_EXPORTER_OTLP_CERTIFICATE"},
		"no pem":      {env(on, "https://x", "OTEL_EXPORTER_OTLP_CERTIFICATE", empty), "OTEL_EXPORTER_OTLP_CERTIFICATE"},
		"client":      {env(on, "https://x", "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", none), "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE"},
	} {
		var said bytes.Buffer
		x := trace.Open(t.Context(), trace.Config{Env: c.env, Log: zerolog.New(&said)})
		if x.On() || !strings.Contains(said.String(), c.says) || c.says == "" && said.Len() > 0 || strings.Contains(said.String(), "secret") {
			t.Errorf("%s: on is %v, said %q; want %q in it", name, x.On(), said.String(), c.says)
		}
		x.Export(trace.Span{})
		if _, on := x.Stats(); on {
			t.Errorf("%s: it counts", name)
		}
		shut(t, x)
	}
}
