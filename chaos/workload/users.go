// Package workload is everybody who uses a fleet during a run: users, operators
// and continuous integration, and those who watch.
package workload

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/serin-rollouts/serin/chaos/history"
	"github.com/serin-rollouts/serin/internal/localfleet"
)

// Target is one service on one host, as users reach it.
type Target struct{ Host, Service, URL string }

// Users ask all targets in turn, so many times per second together, and record
// every request.
type Users struct {
	Targets   []Target
	PerSecond int
	Log       *history.Log
	Chance    *rand.Rand
}

// How patient users are, and how many of them there are.
const (
	userPatience = 20 * time.Second
	// Less than HAProxy waits for the next request: whoever ends an idle connection
	// must not be the one that a request is on its way to.
	userIdle   = 30 * time.Second
	userCount  = 256
	freshShare = 10 // one request in so many is on a connection of its own
)

// Run asks until ctx ends, and then waits for the last answers.
func (u Users) Run(ctx context.Context) {
	kept := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: userCount, IdleConnTimeout: userIdle, DisableCompression: true}, Timeout: userPatience}
	fresh := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DisableCompression: true}, Timeout: userPatience}
	defer kept.CloseIdleConnections()
	asks := make(chan func())
	var users sync.WaitGroup
	for range userCount {
		users.Go(func() {
			for ask := range asks {
				ask()
			}
		})
	}
	defer users.Wait()
	defer close(asks)
	ticker := time.NewTicker(time.Second / time.Duration(u.PerSecond))
	defer ticker.Stop()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		target, client, number := u.Targets[i%len(u.Targets)], kept, u.Chance.Uint64()
		if u.Chance.IntN(freshShare) == 0 {
			client = fresh
		}
		// What was begun counts, also when the run is over.
		ask := func() { u.ask(context.WithoutCancel(ctx), client, target, number) }
		select {
		case asks <- ask:
		case <-ctx.Done():
			return
		}
	}
}

// Private

func (u Users) ask(ctx context.Context, client *http.Client, t Target, number uint64) {
	r := history.Request{At: u.Log.Now(), Host: t.Host, Service: t.Service}
	get(ctx, client, t, number, &r)
	r.Took = u.Log.Now() - r.At
	u.Log.Request(r)
}

// get sends one request to its end, and notes what came of it and, if it failed, why.
func get(ctx context.Context, client *http.Client, t Target, number uint64, r *history.Request) {
	// Go's client silently asks again when a kept connection ends without an
	// answer. Another client would not, so that is a failure.
	var tries atomic.Int32
	trace := httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { tries.Add(1) }}
	request, err := http.NewRequestWithContext(httptrace.WithClientTrace(ctx, &trace), http.MethodGet, t.URL, http.NoBody)
	if err != nil {
		r.Failure = err.Error()
		return
	}
	request.Header.Set(localfleet.NumberHeader, strconv.FormatUint(number, 10))
	request.Header.Set(localfleet.HostHeader, t.Host)
	answer, err := client.Do(request)
	if err != nil {
		r.Failure = err.Error()
		return
	}
	_, err = io.Copy(io.Discard, answer.Body)
	_ = answer.Body.Close()
	r.Status, r.Version, r.Owner = answer.StatusCode, answer.Header.Get(localfleet.VersionHeader), answer.Header.Get(localfleet.ServiceHeader)
	switch {
	case err != nil:
		r.Failure = "cut short: " + err.Error()
	case tries.Load() > 1:
		r.Failure = fmt.Sprintf("answered at the %d. try only: a connection was closed without an answer", tries.Load())
	case answer.StatusCode >= http.StatusInternalServerError && r.Version == "":
		r.Failure = answer.Status + " without the app's header"
	}
}
