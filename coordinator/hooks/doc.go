// Package hooks turns pushes to image registries into triggers. Registries tell
// of a push by an HTTP request, each in a form of its own; rules say which
// services a push is for.
//
//	POST /hooks/distribution   notifications of the distribution registry
//	POST /hooks/dockerhub      webhooks of Docker Hub
//	POST /hooks/github         webhooks of GitHub's packages
//
// Whoever asks has to know the secret. What comes of a push is a trigger like any
// other: its sender hears what the leader says, if that comes soon, and the rest
// is in the events.
package hooks
