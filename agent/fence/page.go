package fence

import (
	"reflect"

	"github.com/serin-rollouts/serin/internal/rollout"
)

// Page is what has been accepted of one service. Epoch is the highest one heard
// of: a broadcast may be newer than the assignment.
type Page struct {
	Epoch      uint64             `json:"epoch"`
	Assignment rollout.Assignment `json:"assignment"`
}

// Fresh leaves out of a message what is older than what was accepted; pages are
// by service. What is left out is handed to refused, with the fence.
func Fresh(pages map[string]Page, all []rollout.Assignment, refused func(a rollout.Assignment, fence uint64)) []rollout.Assignment {
	var fresh []rollout.Assignment
	for _, a := range all {
		if fence := pages[a.Service].Epoch; a.Epoch < fence {
			refused(a, fence)
			continue
		}
		fresh = append(fresh, a)
	}
	return fresh
}

// Written returns the pages that assignments make, as far as they differ from
// those that are written.
func Written(pages map[string]Page, fresh []rollout.Assignment) map[string]Page {
	next := map[string]Page{}
	for _, a := range fresh {
		page := Page{Epoch: a.Epoch, Assignment: a}
		if !reflect.DeepEqual(pages[a.Service], page) {
			next[a.Service] = page
		}
	}
	return next
}

// Noted returns the page with a fence that has gone up since it was written;
// false if it has not.
func (p Page) Noted(fence uint64) (Page, bool) {
	if fence <= p.Epoch {
		return p, false
	}
	p.Epoch = fence
	return p, true
}
