// Package fleet is a fleet of real processes on hosts that can be broken: each
// replica of the coordinator and each Docker host is a cell (package cell) with
// an address on one network (package lan), and every Docker host has its own
// containerd, dockerd, agent and HAProxy.
//
// Programs are kept up as systemd would: one that ends by itself is started
// again, and is remembered as a finding. Stop, Kill and Freeze are for whoever
// means harm; they keep a program down until Start.
package fleet
