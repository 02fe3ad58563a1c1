// Package traffic simulates fleets that serve requests, to try judges on: what
// every host would report, and what it truly served. It is seeded: the same
// scene and seed give the same requests on every machine.
//
// Requests come as a Poisson process. Whether one fails is drawn per container
// and step from a rate, which a [Mood] may change: containers have bursts of
// errors of their own, or differ from window to window. How long requests take
// is drawn one by one from a law that each container has for itself.
//
// It knows nothing of judges, so that the judge's own tests can use it.
package traffic
