//go:build !race

package coordinator

// racing: see race_test.go.
const racing = false
