package localfleet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"
)

// VersionHeader marks the app's own answers, its own errors included.
const VersionHeader = "X-Serin-Demo"

// ServiceHeader says for which service a container of the app was started, if
// ServiceVariable tells it.
const (
	ServiceHeader   = "X-Serin-Demo-Service"
	ServiceVariable = "SERIN_DEMO_SERVICE"
)

// NumberHeader numbers the load's requests; HostHeader says by which host one comes.
const (
	NumberHeader = "X-Serin-Demo-Request"
	HostHeader   = "X-Serin-Demo-Host"
)

// AppPort is where the demo app listens inside its container.
const AppPort = 8080

// HealthPath is the demo app's path that proves readiness.
const HealthPath = "/healthz"

// App is the small web app that fleets roll out. It serves until ctx ends, then
// finishes what it has begun.
func App(ctx context.Context, v Version) error {
	leak := newLeak(v.LeakMiB << 20)
	var leaking sync.WaitGroup
	defer leaking.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	leaking.Go(func() { leak.run(ctx) })
	manners := &conduct{Manners: v.Manners}
	server := &http.Server{Handler: signed(os.Getenv(ServiceVariable), v.handler(leak.begin, manners)), ReadHeaderTimeout: 10 * time.Second}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", fmt.Sprintf(":%d", AppPort))
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err := <-served:
		return err
	case <-manners.told(ctx):
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := server.Shutdown(grace); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("shut down: %w", err)
	}
	return nil
}

// Private

// signed has all answers say for which service they are, if that is known.
func signed(service string, h http.Handler) http.Handler {
	if service == "" {
		return h
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(ServiceHeader, service)
		h.ServeHTTP(w, r)
	})
}

// handler answers as the version does; served is called with each request but
// those for readiness.
func (v Version) handler(served func(), manners *conduct) http.Handler {
	mux, orders := http.NewServeMux(), new(orders)
	v.tell(mux, orders)
	mux.HandleFunc("GET "+HealthPath, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set(VersionHeader, v.Tag)
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		served()
		number := numberOf(r)
		v.order(number, orders)
		late, answered := manners.begin()
		if !answered {
			<-r.Context().Done()
			return
		}
		reply := v.Reply(number)
		select {
		case <-time.After(reply.Took + late):
		case <-r.Context().Done():
			return
		}
		w.Header().Set(VersionHeader, v.Tag)
		if reply.Bad || v.BadAt != "" && v.BadAt == r.Header.Get(HostHeader) {
			w.WriteHeader(http.StatusInternalServerError)
		}
		_, _ = io.WriteString(w, "hello from "+v.Tag+"\n")
	})
	return mux
}

// numberOf returns the number that the load gave a request; one without is any.
func numberOf(r *http.Request) uint64 {
	number, err := strconv.ParseUint(r.Header.Get(NumberHeader), 10, 64)
	if err != nil {
		return rand.Uint64()
	}
	return number
}
