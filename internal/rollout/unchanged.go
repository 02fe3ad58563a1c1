package rollout

import "encoding/json"

// Unchanged says why what a trigger asks for is nothing new: the same bytes run the
// same way, under the same spec, or are on their way there. It is nil if it is
// something to do. Specs are compared as the log may hold them at a level.
func (svc *Service) Unchanged(to Revision, spec Spec, level int) *Refusal {
	same := func(revision Revision, other Spec) bool {
		return revision.ID == to.ID && sameSpec(other.At(level), spec.At(level))
	}
	if r := svc.Active; r != nil {
		if r.Phase != RollingBack && svc.Next == nil && same(r.To, r.Spec) {
			return refusef(CodeUnchanged, r.ID, "%s rolls it out already", r.ID)
		}
		return nil
	}
	if svc.Stable == nil || !same(*svc.Stable, svc.Spec) {
		return nil
	}
	id := ""
	if r, ok := svc.Latest(); ok && r.Phase == Succeeded {
		id = r.ID
	}
	return refusef(CodeUnchanged, id, "%s is stable already", svc.Stable.Version())
}

// Private

// unchanged refuses what has nothing new to ask for by now, if it wants to be.
func (a *applier) unchanged(svc *Service, c Submit) bool {
	if !c.IfNew {
		return false
	}
	refusal := svc.Unchanged(c.To, c.Spec, a.state.AtLevel())
	if refusal != nil {
		a.refuse(c.Key, svc.Name, refusal)
	}
	return refusal != nil
}

// sameSpec compares specs but for the name of the image: the revision says which bytes
// it means. It compares them as the log has them, so that what is empty and what was
// left out are the same to every replica, also one that has read its state from a file.
func sameSpec(a, b Spec) bool {
	a.Image, b.Image = "", ""
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && string(x) == string(y)
}
