//go:build race

package fleettest_test

// racing says that the race detector runs, which makes all five times slower.
const racing = true
