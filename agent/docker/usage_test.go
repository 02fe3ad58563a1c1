package docker_test

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-rollouts/serin/agent/docker"
	"github.com/serin-rollouts/serin/agent/docker/dockertest"
)

func TestUsageOfARunningContainer(t *testing.T) {
	inEachWorld(t, func(w *world) {
		t := w.T
		ref, _ := w.load(t, "v1")
		spec := w.spec("a", ref)
		spec.Memory, spec.CPUs = 256<<20, 100
		c := w.run(t, spec)
		w.uses(c, dockertest.Usage{Memory: 30 << 20, Cache: 10 << 20, Periods: 40, Throttled: 10})
		var got docker.Usage
		eventually(t, "it has run", func() bool {
			var err error
			if got, err = w.Usage(t.Context(), c.ID); err != nil {
				t.Fatal(err)
			}
			return got.Periods > 0 && got.Memory > 0
		})
		if got.Memory > spec.Memory || got.Throttled > got.Periods {
			t.Errorf("%+v", got)
		}
		t.Logf("%+v", got)

		if err := w.Stop(t.Context(), c.ID, 0); err != nil {
			t.Fatal(err)
		}
		if got, err := w.Usage(t.Context(), c.ID); err == nil || !strings.Contains(err.Error(), "does not run") {
			t.Errorf("of a stopped one: %+v, %v", got, err)
		}
		if err := w.Remove(t.Context(), c.ID); err != nil {
			t.Fatal(err)
		}
		if got, err := w.Usage(t.Context(), c.ID); !errors.Is(err, docker.ErrNotFound) {
			t.Errorf("of a removed one: %+v, %v", got, err)
		}
	})
}

func TestUsageIsWithoutThePageCache(t *testing.T) {
	bubble(t, dockertest.Config{}, func(b bubbled) {
		id := runOn(b.T, b.engine, "a")
		for _, x := range []struct {
			told dockertest.Usage
			want docker.Usage
		}{
			{dockertest.Usage{Memory: 100, Cache: 30, Periods: 7, Throttled: 2}, docker.Usage{Memory: 70, Periods: 7, Throttled: 2}},
			{dockertest.Usage{Memory: 100, Cache: 30, CgroupV1: true}, docker.Usage{Memory: 70}},
			{dockertest.Usage{Memory: 100, Cache: 130}, docker.Usage{}},
			{dockertest.Usage{Memory: math.MaxUint64, Periods: math.MaxUint64}, docker.Usage{Memory: math.MaxInt64, Periods: math.MaxInt64}},
		} {
			b.fake.SetUsage(id, x.told)
			got, err := b.engine.Usage(b.Context(), id)
			if diff := cmp.Diff(x.want, got); diff != "" || err != nil {
				b.Errorf("%+v: %v\n%s", x.told, err, diff)
			}
		}
	})
}

func TestUsageDoesNotWaitForAFrozenDaemon(t *testing.T) {
	bubble(t, dockertest.Config{}, func(b bubbled) {
		id := runOn(b.T, b.engine, "a")
		defer b.fake.Inject(dockertest.Fault{Path: "/stats", Times: -1, Hang: true})()
		ctx, cancel := context.WithTimeout(b.Context(), 2*time.Second)
		defer cancel()
		if _, err := b.engine.Usage(ctx, id); !errors.Is(err, context.DeadlineExceeded) {
			b.Error(err)
		}
		if _, err := b.engine.Usage(b.Context(), id); !errors.Is(err, docker.ErrUnavailable) {
			b.Error(err)
		}
	})
}
