package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/serin-rollouts/serin/chaos/fleet"
	"github.com/serin-rollouts/serin/chaos/history"
	"github.com/serin-rollouts/serin/chaos/workload"
	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/bus"
	"github.com/serin-rollouts/serin/internal/event"
	"github.com/serin-rollouts/serin/internal/localfleet"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// Private

// whole returns when a leader answers that has heard from every host since the
// call, and every service answers on every host, steadily.
func (r *storm) whole(ctx context.Context) error {
	began, silent := time.Now(), r.targets()
	for {
		err := r.isWhole(ctx, began, &silent)
		if err == nil {
			return nil
		}
		pause(ctx, 100*time.Millisecond)
		if ctx.Err() != nil {
			return err
		}
	}
}

// isWhole takes the targets that answer off those that were silent.
func (r *storm) isWhole(ctx context.Context, since time.Time, silent *[]workload.Target) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	hosts, err := localfleet.Ask[[]api.HostStatus](ctx, r.conn, api.GetHosts, "")
	if err != nil {
		return err
	}
	heard := 0
	for _, h := range hosts {
		if h.Live && time.Duration(h.SeenMS)*time.Millisecond < time.Since(since) {
			heard++
		}
	}
	if heard < r.Hosts {
		return fmt.Errorf("%d of %d hosts were heard of since", heard, r.Hosts)
	}
	for len(*silent) > 0 {
		t := (*silent)[0]
		if err := steady(ctx, t.URL); err != nil {
			return fmt.Errorf("%s on %s: %w", t.Service, t.Host, err)
		}
		*silent = (*silent)[1:]
	}
	return nil
}

// steady tells whether the app answers some times in a row: HAProxy may find a
// container that has just come up down once more.
func steady(ctx context.Context, url string) error {
	const times, apart = 3, 50 * time.Millisecond
	for range times {
		if err := answers(ctx, url); err != nil {
			return err
		}
		pause(ctx, apart)
	}
	return nil
}

// answers tells whether the app answers, in whatever way.
func answers(ctx context.Context, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	// Another one may be routed to a container that answers.
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Second}
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	_ = answer.Body.Close()
	if answer.Header.Get(localfleet.VersionHeader) == "" {
		return errors.New(answer.Status)
	}
	return nil
}

// look records the fleet as it is.
func (r *storm) look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	end := history.End{Strangers: r.strangers}
	services, err := localfleet.Ask[[]api.ServiceStatus](ctx, r.conn, api.GetServices, "")
	errs := []error{err}
	end.Services = services
	end.Events, err = r.events(ctx)
	errs = append(errs, err)
	for _, n := range r.fleet.Hosts {
		end.Hosts = append(end.Hosts, atRest(ctx, n))
	}
	end.Crashes = r.crashes()
	if err := errors.Join(errs...); err != nil {
		end.Problem = err.Error()
	}
	r.log.Set(func(h *history.Record) { h.End = end })
}

// events reads all events from the first.
func (r *storm) events(ctx context.Context) ([]rollout.Event, error) {
	var all []rollout.Event
	err := r.conn.Events(ctx, bus.Filter{}, func(m bus.EventMsg) error {
		e, err := event.Decode(m.Data)
		all = append(all, e)
		return err
	})
	if err != nil {
		return all, fmt.Errorf("read the events: %w", err)
	}
	return all, nil
}

func atRest(ctx context.Context, n *fleet.Node) history.Rest {
	h := history.Rest{Host: n.Name, Shares: map[string]int{}}
	var errs [3]error
	h.Containers, errs[0] = n.Containers(ctx)
	h.Open, errs[1] = n.Open(ctx)
	var shares map[string]fleet.Share
	shares, errs[2] = n.Shares(ctx)
	for service, share := range shares {
		h.Shares[service] = share.Points
	}
	if err := errors.Join(errs[:]...); err != nil {
		h.Problem = err.Error()
	}
	return h
}

// crashes are the ends of programs that nobody asked for.
func (r *storm) crashes() []history.Crash {
	var all []history.Crash
	for _, c := range r.fleet.Crashes() {
		all = append(all, history.Crash{At: r.log.Now() - time.Since(c.At), Node: c.Node, Program: c.Program, How: c.How})
	}
	return all
}
