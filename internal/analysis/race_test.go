//go:build race

package analysis

// raced is true under the race detector, where simulations take ten times as long.
const raced = true
