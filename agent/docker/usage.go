package docker

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"

	"github.com/docker/docker/api/types/container"
)

// maxStats is how many bytes of the daemon's answer are read.
const maxStats = 1 << 20

// Usage is what a running container uses.
type Usage struct {
	// Memory is what it holds, in bytes, without page cache that the kernel could
	// take back at once.
	Memory int64
	// Periods are the CPU scheduler's periods since it started in which it ran,
	// Throttled those in which it wanted more than its limit; both are 0 if it has
	// no limit of CPU.
	Periods, Throttled int64
}

// Usage asks what a container uses at this moment, once: the daemon takes no
// second look to compute rates. A container that does not run is an error.
func (e *Engine) Usage(ctx context.Context, id string) (Usage, error) {
	var raw container.StatsResponse
	what := "ask what container " + id + " uses"
	err := e.call(ctx, e.cfg.CallTimeout, what, func(ctx context.Context, s *session) (err error) {
		answer, err := s.ContainerStatsOneShot(ctx, id)
		if err != nil {
			return err
		}
		err = json.NewDecoder(io.LimitReader(answer.Body, maxStats)).Decode(&raw)
		if closing := answer.Body.Close(); err == nil {
			err = closing
		}
		return err
	})
	if err == nil && raw.Read.Year() <= 1 {
		err = fmt.Errorf("%s: it does not run", what)
	}
	if err != nil {
		return Usage{}, err
	}
	throttling := raw.CPUStats.ThrottlingData
	return Usage{
		Memory:  held(raw.MemoryStats),
		Periods: whole(throttling.Periods), Throttled: whole(throttling.ThrottledPeriods),
	}, nil
}

// Private

// held is without the inactive part of the page cache: under cgroup v1 that of
// all descendants has a name of its own.
func held(m container.MemoryStats) int64 {
	cache, isV1 := m.Stats["total_inactive_file"]
	if !isV1 {
		cache = m.Stats["inactive_file"]
	}
	if cache > m.Usage { // they were not read in one moment
		return 0
	}
	return whole(m.Usage - cache)
}

func whole(n uint64) int64 { return int64(min(n, math.MaxInt64)) }
