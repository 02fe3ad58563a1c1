package agent

import (
	"slices"

	"github.com/serin-rollouts/serin/agent/plan"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// problem is why a host cannot go on.
type problem struct {
	text  string
	cause rollout.Cause
	fatal bool // trying again will not help
}

// status is what a report says of a service. It is guarded by the service.
type status struct {
	settled    bool
	hasImages  bool
	wantsRaise bool
	doing      string
	weight     int // canary's share in force, basis points

	stable, canary           string // revisions that run
	stableReady, canaryReady int

	deaths  int
	death   string
	problem problem
}

// assigned notes that another assignment counts from now on.
func (st *status) assigned(was, is rollout.Assignment) {
	st.settled, st.hasImages, st.wantsRaise, st.problem = false, false, false, problem{}
	if was.Rollout != is.Rollout {
		st.deaths, st.death = 0, ""
	}
}

func (st *status) trouble(p problem) {
	st.settled, st.problem = false, p
}

// look notes what a look at the host showed, and what follows from it.
func (st *status) look(a rollout.Assignment, h plan.Host, op plan.Op) {
	_, st.settled = op.(plan.Settled)
	_, st.wantsRaise = op.(plan.Ask)
	st.doing = op.String()
	if st.settled || st.problem.cause == "" {
		st.problem = problem{}
	}
	st.stable, st.stableReady = standing(a.Stable, h)
	st.canary, st.canaryReady = standing(a.Canary, h)
	st.weight = h.Split.Share
	st.hasImages = true
	for _, image := range wantedImages(a) {
		if !slices.Contains(h.Images, image) && !runs(h, a, image) {
			st.hasImages = false
		}
	}
}

// standing counts the containers of a revision that get requests.
func standing(rev *rollout.Revision, h plan.Host) (string, int) {
	if rev == nil {
		return "", 0
	}
	n := 0
	for _, c := range h.Containers {
		for _, s := range h.Slots {
			if c.Revision == rev.ID && c.State == plan.Running && c.Ready && s.Name == c.Slot && s.Open && s.Up && s.Addr == c.Addr {
				n++
			}
		}
	}
	if n == 0 {
		return "", 0
	}
	return rev.ID, n
}

// wantedImages lists what a host has to have for its assignment.
func wantedImages(a rollout.Assignment) []string {
	images := append([]string(nil), a.Prefetch...)
	for _, rev := range []*rollout.Revision{a.Stable, a.Canary} {
		if rev != nil && !slices.Contains(images, rev.Image) {
			images = append(images, rev.Image)
		}
	}
	return images
}

// runs tells whether the revision of an image has a container already.
func runs(h plan.Host, a rollout.Assignment, image string) bool {
	for _, rev := range []*rollout.Revision{a.Stable, a.Canary} {
		if rev == nil || rev.Image != image {
			continue
		}
		for _, c := range h.Containers {
			if c.Revision == rev.ID {
				return true
			}
		}
	}
	return false
}
