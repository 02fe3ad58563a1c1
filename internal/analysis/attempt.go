package analysis

// reserve is the inverse of the part of Alpha that is kept for evidence that begins anew.
const reserve = 10

// Attempt returns the gates with the part of Alpha that the n-th evidence of one rollout may spend,
// from 0: nine tenths for the first, and for each that begins anew half of what is left of the last
// tenth. So the chance that any of them fails a version that is no worse is Alpha at most, however
// often evidence begins anew. No part is less than a millionth, the grain of Alpha: from where the
// tenth is used up, each further time adds that.
func (g Gates) Attempt(n int) Gates {
	alpha := Config{Alpha: g.Alpha}.withDefaults().Alpha
	kept := alpha / reserve
	g.Alpha = alpha - kept
	if n > 0 {
		g.Alpha = kept >> min(n, 62)
	}
	g.Alpha = max(1, g.Alpha)
	return g
}
