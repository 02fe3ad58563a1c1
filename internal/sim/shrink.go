package sim

// mostRuns bounds how often a story is tried anew to make it shorter.
const mostRuns = 1000

// Shrink leaves out faults, one group after the other, as long as the same
// promise is still broken without them (delta debugging: Zeller and Hildebrandt,
// 2002). It returns the shortest story that it finds.
func Shrink(out Outcome) Outcome {
	if out.Violation == nil {
		return out
	}
	s := &shrinking{best: out}
	for k := range kinds { // whole kinds first: most have nothing to do with it
		s.try(func(_ int, f Fault) bool { return f.Kind != k })
	}
	for size := (len(s.best.Faults) + 1) / 2; size > 0 && s.runs < mostRuns; {
		if !s.sweep(size) {
			size /= 2
		}
		size = min(size, len(s.best.Faults))
	}
	final := out.options
	final.Only, final.Tell = keepIf(s.best.Faults, func(int, Fault) bool { return true }), true
	return Run(final)
}

// Private

// shrinking is a story on its way to be short.
type shrinking struct {
	best Outcome
	runs int
}

// sweep tries to leave out each group of that size; it reports whether any was
// of no use.
func (s *shrinking) sweep(size int) (shorter bool) {
	for from := 0; from < len(s.best.Faults) && s.runs < mostRuns; {
		if s.try(func(i int, _ Fault) bool { return i < from || i >= from+size }) {
			shorter = true
		} else {
			from += size
		}
	}
	return shorter
}

// try runs with some of the faults only; it reports whether the same promise is
// broken all the same, in a shorter story.
func (s *shrinking) try(keep func(int, Fault) bool) bool {
	s.runs++
	o := s.best.options
	o.Only, o.Tell = keepIf(s.best.Faults, keep), false
	got := Run(o)
	if got.Violation == nil || got.Violation.Invariant != s.best.Violation.Invariant || len(got.Faults) >= len(s.best.Faults) {
		return false
	}
	s.best = got
	return true
}

// keepIf returns the identities of the faults that are to be kept.
func keepIf(faults []Fault, keep func(int, Fault) bool) map[uint64]bool {
	kept := make(map[uint64]bool, len(faults))
	for i, f := range faults {
		if keep(i, f) {
			kept[f.ID] = true
		}
	}
	return kept
}
