// Package tracetest is a collector of traces for tests.
package tracetest

import (
	"compress/gzip"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// Span is one that the collector got.
type Span struct {
	Trace, ID, Parent string // in hexadecimal; Parent is empty for the first
	Name              string
	Program           string // service.name of its resource
	Start, End        uint64 // Unix nanoseconds
	Attributes        map[string]string
	Notes             []string // names of its events
	Failed            bool
	Text              string // of its status
}

// Collector takes OTLP over HTTP, in protobuf. It is a handler, for a server, and
// the way to one (http.RoundTripper), where there is no network. The zero value is
// one that takes everything.
type Collector struct {
	mu     sync.Mutex
	spans  []Span
	header http.Header
	refuse int
}

// Refuse has the collector answer with a status from now on; 0: take spans again.
func (c *Collector) Refuse(status int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refuse = status
}

// Spans returns what has come so far, in order.
func (c *Collector) Spans() []Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.spans)
}

// Header returns that of the last request.
func (c *Collector) Header() http.Header {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.header
}

// Find returns the spans with that name, in order.
func (c *Collector) Find(name string) []Span {
	return slices.DeleteFunc(c.Spans(), func(s Span) bool { return s.Name != name })
}

// RoundTrip implements http.RoundTripper.
func (c *Collector) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	w := httptest.NewRecorder()
	c.ServeHTTP(w, r)
	return w.Result(), r.Body.Close()
}

// ServeHTTP implements http.Handler.
func (c *Collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.header = r.Header
	var m tracepb.TracesData
	body, err := read(r)
	switch {
	case c.refuse != 0:
		w.WriteHeader(c.refuse)
		return
	case err != nil || r.Method != http.MethodPost || !strings.HasSuffix(r.URL.Path, "/v1/traces") || r.Header.Get("Content-Type") != "application/x-protobuf" || proto.Unmarshal(body, &m) != nil:
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	for _, resource := range m.GetResourceSpans() {
		program := texts(resource.GetResource().GetAttributes())["service.name"]
		for _, scope := range resource.GetScopeSpans() {
			for _, s := range scope.GetSpans() {
				c.spans = append(c.spans, spanOf(s, program))
			}
		}
	}
}

// Private

func read(r *http.Request) ([]byte, error) {
	if r.Header.Get("Content-Encoding") != "gzip" {
		return io.ReadAll(r.Body)
	}
	unpacked, err := gzip.NewReader(r.Body)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(unpacked)
}

func spanOf(s *tracepb.Span, program string) Span {
	x := Span{
		Trace: hex.EncodeToString(s.GetTraceId()), ID: hex.EncodeToString(s.GetSpanId()), Parent: hex.EncodeToString(s.GetParentSpanId()),
		Name: s.GetName(), Program: program, Start: s.GetStartTimeUnixNano(), End: s.GetEndTimeUnixNano(), Attributes: texts(s.GetAttributes()),
		Failed: s.GetStatus().GetCode() == tracepb.Status_STATUS_CODE_ERROR, Text: s.GetStatus().GetMessage(),
	}
	for _, e := range s.GetEvents() {
		x.Notes = append(x.Notes, e.GetName())
	}
	return x
}

// texts renders the values of attributes as texts.
func texts(all []*commonpb.KeyValue) map[string]string {
	m := map[string]string{}
	for _, kv := range all {
		if s, ok := kv.GetValue().GetValue().(*commonpb.AnyValue_StringValue); ok {
			m[kv.GetKey()] = s.StringValue
			continue
		}
		text := kv.GetValue().String()
		m[kv.GetKey()] = text[strings.LastIndex(text, ":")+1:] // "int_value:3"
	}
	return m
}
