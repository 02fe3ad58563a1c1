// Package agent is the process on a Docker host. It takes assignments from the
// coordinator, compares them with what Docker and HAProxy show, does one
// operation after the other until they agree, and reports. DESIGN.md tells why
// it is built as it is, and what happens when it dies where.
//
//	accept.go    the fence: which assignments count, persisted before they do
//	licence.go   nonces and the lease: when it may raise, when it must lower
//	service.go   what is known of one service
//	converge.go  observe, plan, do, look again
//	observe.go   Docker and HAProxy as a plan.Host
//	do.go        one plan.Op
//	reflex.go    what cannot wait for its turn
//	report.go    health, at once when something broke
package agent
