package dockertest

import (
	"net/http"
	"time"
)

// Usage is what the program in a container uses.
type Usage struct {
	// Memory includes Cache, the inactive part of the page cache.
	Memory, Cache      uint64
	Periods, Throttled uint64
	// CgroupV1 answers as an Engine under cgroup v1 does.
	CgroupV1 bool
}

// SetUsage is what the Engine tells of a container from now on, unless
// Config.Usage does. It reports whether there is one.
func (f *Fake) SetUsage(name string, u Usage) bool {
	c := f.find(name)
	if c == nil {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	c.usage = u
	return true
}

// Private

// containerStats answers once, and only to one who asks for just that: anything
// else takes a second look after a second.
func (f *Fake) containerStats(w http.ResponseWriter, r *http.Request, c *instance) {
	if query := r.URL.Query(); query.Get("stream") != "0" || query.Get("one-shot") != "1" {
		refuse(w, http.StatusNotImplemented, "only stream=0&one-shot=1 is answered here")
		return
	}
	f.mu.Lock()
	state, u, snapshot := c.State, c.usage, c.Container
	f.mu.Unlock()
	if f.cfg.Usage != nil {
		u = f.cfg.Usage(snapshot)
	}
	if state != "running" && state != "paused" {
		answer(w, http.StatusOK, map[string]any{"read": "0001-01-01T00:00:00Z", "cpu_stats": map[string]any{}, "memory_stats": map[string]any{}})
		return
	}
	cache := "inactive_file"
	if u.CgroupV1 {
		cache = "total_inactive_file"
	}
	answer(w, http.StatusOK, map[string]any{
		"read": time.Now().UTC().Format(time.RFC3339Nano),
		"cpu_stats": map[string]any{
			"throttling_data": map[string]any{"periods": u.Periods, "throttled_periods": u.Throttled, "throttled_time": 0},
		},
		"memory_stats": map[string]any{"usage": u.Memory, "limit": 8 << 30, "stats": map[string]any{cache: u.Cache, "cache": u.Cache + 1}},
	})
}
