// Package trace makes OpenTelemetry traces of rollouts: one trace for each, with
// a span for every phase and step, and below these one for every operation on a
// host.
//
//	rollout ─┬─ prepare ─┬─ pull (web-01)
//	         │           └─ pull (web-02)
//	         ├─ step 1 ──┬─ create, start, prove, attach, weights, share (web-01)
//	         ├─ step 2 ── ...
//	         └─ promote or rollback ── ...
//
// The core has no state and does nothing: a Scope names the spans of a rollout by
// what every replica knows of it, and makes spans of its events. So a trace goes on
// over a change of leader as if nothing had happened, and a span that is made twice
// is twice the same.
//
// An Exporter sends spans to a collector, by OTLP over HTTP. It is configured by the
// standard variables OTEL_*, and blocks nobody: what the collector does not take in
// time is dropped and counted. A nil Exporter is one that is off.
//
// Between processes a Context travels in the header traceparent (W3C), on the
// trigger, the broadcast and the assignments.
package trace
