// Package source asks others than the agents what a rollout's gates want to
// know: a Prometheus server, or any page over HTTP. It asks once, with a
// deadline, and knows nothing of rollouts.
package source
