package check

import (
	"fmt"
	"slices"

	"github.com/serin-rollouts/serin/chaos/history"
	"github.com/serin-rollouts/serin/internal/api"
)

// The labels of serin's containers.
const (
	serviceLabel  = "serin.service"
	revisionLabel = "serin.revision"
	running       = "running"
)

// Tidy is I8: at the end no container of serin's is left that nothing wants, no
// slot leads to a container that there is not, and strangers are as they were.
func Tidy(r *history.Record) []Violation {
	f := found{promise: I8}
	for _, h := range r.End.Hosts {
		if h.Problem != "" {
			f.add(0, "%s: %s", h.Host, h.Problem)
			continue
		}
		for _, c := range h.Containers {
			if problem := orphan(r, h.Host, c); problem != "" {
				f.add(0, "%s: container %s: %s", h.Host, c.Name, problem)
			}
		}
		f.slots(h)
	}
	return append(f.all, strangers(r)...)
}

// Converged is I10: at the end every host has what the state names, serves it,
// and has no canary.
func Converged(r *history.Record) []Violation {
	f := found{promise: I10}
	if r.End.Problem != "" {
		f.add(0, "%s", r.End.Problem)
	}
	for _, s := range r.End.Services {
		if s.Running || s.Stable == nil {
			f.add(0, "%s has a rollout that runs, or nothing stable", s.Service)
			continue
		}
		for _, h := range r.End.Hosts {
			if problem := differs(h, s); problem != "" {
				f.add(0, "%s: %s: %s", h.Host, s.Service, problem)
			}
		}
	}
	return f.all
}

// Fleet is that nothing crashed or gave up without cause, and that every fault was
// recovered from.
func Fleet(r *history.Record) []Violation {
	f := found{promise: Whole}
	for _, c := range r.End.Crashes {
		if c.How != givenUp || !onBadDisk(r, c) {
			f.add(c.At, "%s on %s has ended by itself: %s", c.Program, c.Node, c.How)
		}
	}
	for _, fault := range r.Faults {
		if fault.Recovered == 0 {
			f.add(fault.Began, "after %s of %v the fleet was not whole again: %s", fault.Kind, fault.Targets, fault.Note)
		}
	}
	return f.all
}

// Private

// slots looks where a host's open slots lead to.
func (f *found) slots(h history.Rest) {
	for service, open := range h.Open {
		for _, address := range open {
			if !slices.ContainsFunc(h.Containers, func(c history.Container) bool {
				return c.Address == address && c.Labels[serviceLabel] == service && c.State == running
			}) {
				f.add(0, "%s: an open slot of %s leads to %s, where none of its containers is", h.Host, service, address)
			}
		}
	}
}

// givenUp is how a program ends that says why it cannot go on: a disk that does not
// store. It is started again, and ends again while the disk is so.
const givenUp = "exit code 1"

// onBadDisk tells whether a program ended while its node's disk was full or did not
// store.
func onBadDisk(r *history.Record, c history.Crash) bool {
	return slices.ContainsFunc(r.Faults, func(f history.Fault) bool {
		bad := []string{"raft-disk-full", "raft-fsync-fails", "agent-disk-full", "agent-fsync-fails"}
		return slices.Contains(bad, f.Kind) && slices.Contains(f.Targets, c.Node) && c.At >= f.Began && c.At <= over(f, r.Took)
	})
}

// orphan says why a container should not be there.
func orphan(r *history.Record, host string, c history.Container) string {
	service, ours := c.Labels[serviceLabel]
	if !ours {
		return ""
	}
	for _, s := range r.End.Services {
		if s.Service != service || s.Stable == nil {
			continue
		}
		if want, _ := wanted(s, host); c.Labels[revisionLabel] != want {
			return fmt.Sprintf("of revision %s, %s; stable there is %s", c.Labels[revisionLabel], c.State, want)
		}
		if c.State != running {
			return "is " + c.State
		}
		return ""
	}
	return "of " + service + ", which is no service"
}

// wanted is the revision that a host is to have, and its version: the stable one, or
// another if the host is held back.
func wanted(s api.ServiceStatus, host string) (revision, version string) {
	for _, held := range s.Held {
		if held.Host == host {
			return held.Revision, held.Version
		}
	}
	return s.Stable.ID, s.Stable.Version
}

func differs(h history.Rest, s api.ServiceStatus) string {
	n := 0
	want, version := wanted(s, h.Host)
	for _, c := range h.Containers {
		if c.Labels[serviceLabel] == s.Service && c.Labels[revisionLabel] == want && c.State == running {
			n++
		}
	}
	switch {
	case h.Problem != "":
		return h.Problem
	case n != 1:
		return fmt.Sprintf("%d containers of %s run, want 1", n, version)
	case h.Shares[s.Service] != 0:
		return fmt.Sprintf("the canary has %d basis points", h.Shares[s.Service])
	case len(h.Open[s.Service]) != 1:
		return fmt.Sprintf("open slots lead to %v, want one container", h.Open[s.Service])
	}
	return ""
}

// strangers looks for containers of others that were ended, restarted or removed
// although their host and its dockerd were left alone.
func strangers(r *history.Record) []Violation {
	f := found{promise: I8}
	for _, was := range r.End.Strangers {
		for _, h := range r.End.Hosts {
			if h.Host != was.Host || h.Problem != "" {
				continue
			}
			i := slices.IndexFunc(h.Containers, func(c history.Container) bool { return c.ID == was.ID })
			switch {
			case i < 0:
				f.add(0, "%s: the container of a stranger is gone", h.Host)
			case h.Containers[i].State != running:
				f.add(0, "%s: the container of a stranger is %s", h.Host, h.Containers[i].State)
			case h.Containers[i].StartedAt != was.StartedAt && !rebooted(r, h.Host):
				f.add(0, "%s: the container of a stranger was restarted", h.Host)
			}
		}
	}
	return f.all
}

// rebooted tells whether a host lost its containers by a fault.
func rebooted(r *history.Record, host string) bool {
	return slices.ContainsFunc(r.Faults, func(f history.Fault) bool {
		return f.Kind == "host-kill" && slices.Contains(f.Targets, host)
	})
}
