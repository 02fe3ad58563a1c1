package localfleet

import (
	"context"
	"math"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// Version is one version of the demo app. All versions answer the same
// requests alike but for what stands here.
type Version struct {
	Tag          string
	ErrorPercent float64 // of its answers, which are 500
	BadAt        string  // host all of whose requests it answers so, if they say by which they come (HostHeader)
	SlowPercent  float64 // by which its slow path takes longer than the others'
	LeakMiB      int     // of memory that it loses each second, from its first request on

	Ills
	Manners
}

// Versions are those that every fleet has: v1 and v2 are alike and good, v3
// answers one request in twenty with an error, v4's slow path is 30 % slower,
// which makes its p99 so, and v5 loses memory.
func Versions() []Version {
	return []Version{
		{Tag: "v1"}, {Tag: "v2"}, {Tag: "v3", ErrorPercent: 5}, {Tag: "v4", SlowPercent: 30}, {Tag: "v5", LeakMiB: 3},
	}
}

// How long requests take: most a median of 12 ms, and some, which have to ask
// a store, 300 ms. So p50 is the ones', and p99 the others', also on a machine
// that keeps a request waiting for a tenth of a second now and then.
const (
	usualMedian, usualSigma = 12 * time.Millisecond, .3
	slowMedian, slowSigma   = 300 * time.Millisecond, .05
	slowShare               = .06
)

// What a version that leaks loses at most: it has to be seen, and the machine
// has to live.
const (
	mostLeaked = 96 << 20
	leakEvery  = 100 * time.Millisecond
)

// Reply is what becomes of one request.
type Reply struct {
	Took time.Duration
	Bad  bool // a 500
}

// Reply follows from the request's number alone: versions that are alike answer
// alike, and a request that is slow is so in every version.
func (v Version) Reply(number uint64) Reply {
	const stream = 0x5e71
	rng := rand.New(rand.NewPCG(number, stream))
	median, sigma := float64(usualMedian), usualSigma
	if rng.Float64() < slowShare {
		median, sigma = float64(slowMedian)*(1+v.SlowPercent/100), slowSigma
	}
	return Reply{
		Took: time.Duration(median * math.Exp(sigma*rng.NormFloat64())),
		Bad:  rng.Float64()*100 < v.ErrorPercent,
	}
}

// Args are the arguments by which the serin program is this version.
func (v Version) Args() []string {
	number := func(x float64) string { return strconv.FormatFloat(x, 'g', -1, 64) }
	return []string{
		"demo", "app", "--version", v.Tag, "--error-percent", number(v.ErrorPercent), "--bad-at", v.BadAt,
		"--slow-percent", number(v.SlowPercent), "--leak-mib", strconv.Itoa(v.LeakMiB),
		"--failed-percent", number(v.FailedPercent), "--queue", strconv.Itoa(v.Queue), "--lag", strconv.Itoa(v.Lag),
		"--unwell=" + strconv.FormatBool(v.Unwell),
		"--dies-at", strconv.Itoa(v.DiesAt), "--hangs=" + strconv.FormatBool(v.Hangs), "--late", v.Late.String(),
		"--abrupt=" + strconv.FormatBool(v.Abrupt), "--deaf=" + strconv.FormatBool(v.Deaf),
	}
}

// Private

// leak loses memory at a steady rate once it has begun.
type leak struct {
	perSecond int // bytes
	begun     chan struct{}
	begin     func()
	lost      atomic.Int64 // bytes
	held      [][]byte
}

func newLeak(perSecond int) *leak {
	begun := make(chan struct{})
	return &leak{perSecond: perSecond, begun: begun, begin: sync.OnceFunc(func() { close(begun) })}
}

// run leaks until all is lost that may be, or ctx ends.
func (l *leak) run(ctx context.Context) {
	select {
	case <-ctx.Done():
		return
	case <-l.begun:
	}
	ticker := time.NewTicker(leakEvery)
	defer ticker.Stop()
	for l.perSecond > 0 && l.lost.Load() < mostLeaked {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		l.lose(l.perSecond * int(leakEvery) / int(time.Second))
	}
}

// lose writes to each page, since one that is never written takes no memory.
func (l *leak) lose(n int) {
	const page = 4096
	piece := make([]byte, n)
	for i := 0; i < n; i += page {
		piece[i] = 1
	}
	l.held = append(l.held, piece)
	l.lost.Add(int64(n))
}
