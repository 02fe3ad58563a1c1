//go:build !race

package fleettest_test

const racing = false
