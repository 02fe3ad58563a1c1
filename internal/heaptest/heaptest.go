// Package heaptest measures memory for tests that bound it.
package heaptest

import "runtime"

// Live is what the process's memory holds that is in use, in bytes.
func Live() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what finalizers have let go
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
