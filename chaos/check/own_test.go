package check

import (
	"testing"
	"time"

	"github.com/serin-rollouts/serin/chaos/history"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// TestOwners: in the quiet run v1 is stable from 4 s on and v2 is asked for at 10 s. When
// v3 has taken v1's place, at 40 s, nothing but v3 may answer where its end says so.
func TestOwners(t *testing.T) {
	third := func(r *history.Record, fleet int, lost ...string) {
		for i, k := range []rollout.Kind{rollout.KindSubmitted, rollout.KindPromoting, rollout.KindSucceeded} {
			e := rollout.Event{Seq: uint64(len(r.End.Events)) + 1, Service: "shop", Rollout: "shop-3", From: "v1", To: "v3", Kind: k, Step: 1, Text: string(k)}
			e.Phase = []rollout.Phase{rollout.Preparing, rollout.Promoting, rollout.Succeeded}[i]
			e.Lost, e.Fleet = lost, fleet
			r.End.Events = append(r.End.Events, e)
			r.Events = append(r.Events, history.Event{At: seconds(30 + 5*i), Event: e})
		}
		r.End.Events[len(r.End.Events)-3].Key = "id:shop:d"
		r.Plans = append(r.Plans, history.Plan{ID: "d", Service: "shop", Version: "v3"})
		r.Ops = append(r.Ops, history.Op{Verb: history.Trigger, Service: "shop", ID: "d", Version: "v3", Called: seconds(29), Back: seconds(30)})
	}
	for name, c := range map[string]struct {
		at     int
		q      history.Request
		lost   []string
		late   int // hosts that were not part of it
		broken bool
	}{
		"its own":                  {90, history.Request{Version: "v3", Owner: "shop"}, nil, 0, false},
		"another service's":        {90, history.Request{Version: "v3", Owner: "cafe"}, nil, 0, true},
		"of no name":               {90, history.Request{Version: "v3"}, nil, 0, false},
		"nobody":                   {90, history.Request{}, nil, 0, false},
		"never asked for":          {90, history.Request{Version: "v4"}, nil, 0, true},
		"the one before":           {45, history.Request{Version: "v1"}, nil, 0, true},
		"the one before, for long": {39, history.Request{Version: "v1", Took: 5 * time.Second}, nil, 0, false},
		"the one before, as yet":   {39, history.Request{Version: "v1"}, nil, 0, false},
		"where it is not followed": {45, history.Request{Version: "v1"}, []string{"h1"}, 0, false},
		"a host that comes late":   {42, history.Request{Version: "v1"}, nil, 1, false},
		"one that does not follow": {49, history.Request{Version: "v1"}, nil, 1, true},
		"not asked for as yet":     {28, history.Request{Version: "v3"}, nil, 0, true},
		"as soon as asked for":     {28, history.Request{Version: "v3", Took: 2 * time.Second}, nil, 0, false},
		"what went back, before":   {45, history.Request{Version: "v2"}, nil, 0, true},
		"what goes back":           {21, history.Request{Version: "v2"}, nil, 0, false},
		"of another service":       {90, history.Request{Service: "cafe", Version: "v3"}, nil, 0, true},
	} {
		r := quiet()
		third(r, len(r.Hosts)-c.late, c.lost...)
		q := c.q
		q.At, q.Host, q.Status = seconds(c.at), "h1", 200
		if q.Service == "" {
			q.Service = "shop"
		}
		r.Requests = append(r.Requests[:0:0], q)
		if got := len(Owners(r)) > 0; got != c.broken {
			t.Errorf("%s: broken %v, want %v: %v", name, got, c.broken, Owners(r))
		}
	}
}
