//go:build race

package sim

// testSteps is fewer where each step costs ten times as much.
const testSteps = 100_000
