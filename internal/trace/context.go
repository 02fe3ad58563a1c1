package trace

import (
	"context"

	"go.opentelemetry.io/otel/propagation"
	otel "go.opentelemetry.io/otel/trace"
)

// traceparent is the header's name in W3C's Trace Context.
const traceparent = "traceparent"

// Context is a place in a trace: what the spans below it need to know of it. The
// zero value is no place.
type Context struct {
	Trace [16]byte
	Span  [8]byte
	// Sampled says that whoever made the span records it. What it has not is not
	// recorded below it either.
	Sampled bool
}

// Parse reads W3C's traceparent; false if it is none.
func Parse(s string) (Context, bool) {
	ctx := propagation.TraceContext{}.Extract(context.Background(), propagation.MapCarrier{traceparent: s})
	c := otel.SpanContextFromContext(ctx)
	return Context{Trace: c.TraceID(), Span: c.SpanID(), Sampled: c.IsSampled()}, c.IsValid()
}

// Valid reports whether c is a place.
func (c Context) Valid() bool { return c.Trace != [16]byte{} && c.Span != [8]byte{} }

// String renders c as W3C's traceparent, of 55 characters; "" if it is no place.
func (c Context) String() string {
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(otel.ContextWithRemoteSpanContext(context.Background(), c.remote()), carrier)
	return carrier[traceparent]
}
