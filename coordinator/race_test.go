//go:build race

package coordinator

// racing says that the race detector runs, which makes everything several times slower.
const racing = true
