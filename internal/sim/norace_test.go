//go:build !race

package sim

const testSteps = 400_000
