package trace

import (
	"context"
	"crypto/rand"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	otel "go.opentelemetry.io/otel/trace"
)

const (
	// mostWaiting bounds the spans that wait for the collector, or are on their way.
	mostWaiting = 2048
	// batchAfter is how long a span waits for others: what a process that is killed
	// has not sent is lost.
	batchAfter = time.Second
	// uploadTimeout bounds the tries at one batch, closeTimeout the last of them.
	uploadTimeout = 30 * time.Second
	closeTimeout  = 2 * time.Second
)

// Config says who exports spans, and where to. The zero value exports none.
type Config struct {
	// Env reads the standard variables OTEL_*; os.Getenv, or nil for none.
	Env func(string) string
	// Program is what the spans' resource is called: "serin-agent". Instance tells
	// one of them from the others, Host is where it runs; both may be empty.
	Program, Version, Instance, Host string
	// Transport stands for the network in tests; nil is the real one.
	Transport http.RoundTripper
	Log       zerolog.Logger
}

// Stats count spans since an Exporter was opened.
type Stats struct{ Exported, Dropped int64 }

// Exporter sends spans to a collector, in the background. A nil one is off: it
// takes none.
type Exporter struct {
	tracer   otel.Tracer
	provider *sdk.TracerProvider
	client   *otlp
	log      zerolog.Logger

	waiting, exported, dropped atomic.Int64
	silent                     atomic.Bool // the last batch was not taken
}

// Open starts an exporter; nil if the variables name no collector, or turn it
// off. What is wrong with them is logged, and leaves it off: traces are no reason
// not to run.
func Open(ctx context.Context, cfg Config) *Exporter {
	if !enabled(cfg) {
		return nil
	}
	client, err := newOTLP(cfg)
	var exporter sdk.SpanExporter
	if err == nil {
		exporter, err = otlptrace.New(ctx, client)
	}
	if err != nil {
		cfg.Log.Error().Err(err).Msg("no traces are exported")
		return nil
	}
	x := &Exporter{log: cfg.Log, client: client}
	x.provider = sdk.NewTracerProvider(
		sdk.WithResource(describe(ctx, cfg)), sdk.WithIDGenerator(given{}),
		sdk.WithSampler(sdk.ParentBased(sdk.AlwaysSample())),
		sdk.WithSpanProcessor(sdk.NewBatchSpanProcessor(counted{exporter, x},
			sdk.WithMaxQueueSize(mostWaiting), sdk.WithBatchTimeout(batchAfter), sdk.WithExportTimeout(uploadTimeout))),
	)
	x.tracer = x.provider.Tracer("github.com/serin-rollouts/serin/internal/trace")
	cfg.Log.Info().Str("collector", client.url).Msg("traces are exported")
	return x
}

// On reports whether spans are exported.
func (x *Exporter) On() bool { return x != nil }

// Export sends a span, later. It never blocks: beyond 2,048 that wait, spans are
// dropped and counted. One whose parent is not sampled is left out.
func (x *Exporter) Export(s Span) {
	if x == nil {
		return
	}
	if x.waiting.Add(1) > mostWaiting {
		x.waiting.Add(-1)
		x.dropped.Add(1)
		return
	}
	ctx := context.WithValue(context.Background(), ids{}, s.At)
	if s.Parent.Valid() {
		ctx = otel.ContextWithRemoteSpanContext(ctx, s.Parent.remote())
	}
	_, span := x.tracer.Start(ctx, s.Name, otel.WithTimestamp(time.UnixMicro(s.Start)), otel.WithAttributes(keyValues(s.Attributes)...))
	if !span.IsRecording() {
		x.waiting.Add(-1)
		return
	}
	for _, n := range s.Notes {
		span.AddEvent(n.Name, otel.WithTimestamp(time.UnixMicro(n.Wall)), otel.WithAttributes(keyValues(n.Attributes)...))
	}
	switch s.Outcome {
	case Unset:
	case Done:
		span.SetStatus(codes.Ok, "")
	case Failed:
		span.SetStatus(codes.Error, s.Text)
	}
	span.End(otel.WithTimestamp(time.UnixMicro(s.End)))
}

// Stats tells how many spans the collector has taken, and how many it has not.
func (x *Exporter) Stats() (s Stats, on bool) {
	if x == nil {
		return Stats{}, false
	}
	return Stats{Exported: x.exported.Load(), Dropped: x.dropped.Load()}, true
}

// Close sends what waits, for two seconds at most, also after ctx has ended.
func (x *Exporter) Close(ctx context.Context) error {
	if x == nil {
		return nil
	}
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer stop()
	defer x.client.abandon()
	if err := x.provider.Shutdown(ctx); err != nil {
		x.log.Warn().Err(err).Int64("waiting", x.waiting.Load()).Msg("the last spans were not exported")
	}
	return nil
}

// Private

// enabled reports whether the variables want traces.
func enabled(cfg Config) bool {
	if cfg.Env == nil || strings.EqualFold(cfg.Env("OTEL_SDK_DISABLED"), "true") {
		return false
	}
	if wanted := cfg.Env("OTEL_TRACES_EXPORTER"); wanted != "" {
		return slices.Contains(strings.Split(wanted, ","), "otlp")
	}
	return cfg.Env("OTEL_EXPORTER_OTLP_ENDPOINT") != "" || cfg.Env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") != ""
}

// describe says who made the spans; OTEL_SERVICE_NAME and
// OTEL_RESOURCE_ATTRIBUTES have the last word.
func describe(ctx context.Context, cfg Config) *resource.Resource {
	r, err := resource.New(ctx, resource.WithAttributes(keyValues(texts(
		"service.name", cfg.Program, "service.version", cfg.Version, "service.instance.id", cfg.Instance, keyHost, cfg.Host,
	))...), resource.WithFromEnv())
	if err != nil {
		cfg.Log.Warn().Err(err).Msg("a part of OTEL_RESOURCE_ATTRIBUTES is left out")
	}
	return r
}

func keyValues(all []Attribute) []attribute.KeyValue {
	values := make([]attribute.KeyValue, 0, len(all))
	for _, a := range all {
		switch v := a.Value.(type) {
		case string:
			values = append(values, attribute.String(a.Key, v))
		case int64:
			values = append(values, attribute.Int64(a.Key, v))
		case float64:
			values = append(values, attribute.Float64(a.Key, v))
		}
	}
	return values
}

func (c Context) remote() otel.SpanContext {
	config := otel.SpanContextConfig{TraceID: c.Trace, SpanID: c.Span, Remote: true}
	if c.Sampled {
		config.TraceFlags = otel.FlagsSampled
	}
	return otel.NewSpanContext(config)
}

// ids is the key of the place of the span that is made, in a context.
type ids struct{}

// given hands the SDK the ids that a span has already.
type given struct{}

// NewIDs implements sdk.IDGenerator.
func (g given) NewIDs(ctx context.Context) (otel.TraceID, otel.SpanID) {
	at, _ := ctx.Value(ids{}).(Context)
	return at.Trace, g.NewSpanID(ctx, at.Trace)
}

// NewSpanID implements sdk.IDGenerator.
func (given) NewSpanID(ctx context.Context, _ otel.TraceID) otel.SpanID {
	at, _ := ctx.Value(ids{}).(Context)
	for at.Span == [8]byte{} {
		_, _ = rand.Read(at.Span[:]) // never fails
	}
	return at.Span
}

// counted counts what becomes of the batches, and complains once about a
// collector that is away.
type counted struct {
	sdk.SpanExporter

	exporter *Exporter
}

// ExportSpans implements sdk.SpanExporter.
func (c counted) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	x, n := c.exporter, int64(len(spans))
	err := c.SpanExporter.ExportSpans(ctx, spans)
	x.waiting.Add(-n)
	if err != nil {
		x.dropped.Add(n)
		if !x.silent.Swap(true) {
			x.log.Warn().Err(err).Msg("the collector takes no spans; they are dropped and counted")
		}
		return nil // it is told
	}
	x.exported.Add(n)
	if x.silent.Swap(false) {
		x.log.Info().Msg("the collector takes spans again")
	}
	return nil
}
