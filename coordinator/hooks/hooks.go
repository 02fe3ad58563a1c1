package hooks

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/rollout"
)

const (
	maxBody = 1 << 20
	// soon is how long a sender waits for the leader's answer: GitHub's gives up
	// after ten seconds.
	soon = 5 * time.Second
	// patience is how long a trigger is tried for when its sender has gone.
	patience = time.Minute
	pause    = time.Second // between two tries
	// mostTriggers are under way at once.
	mostTriggers = 64
)

// Trigger puts a trigger to the leader, who may be any replica, and returns what
// it says. An error means that it is not known whether it was heard.
type Trigger func(ctx context.Context, service string, t api.Trigger) (api.Reply, error)

// Handler takes what registries send.
type Handler struct {
	rules   *Rules
	trigger Trigger
	log     zerolog.Logger
	slots   chan struct{}
	ctx     context.Context //nolint:containedctx // of the work that outlives requests
	work    sync.WaitGroup
}

// New makes a handler whose work ends with ctx.
func New(ctx context.Context, rules *Rules, trigger Trigger, log zerolog.Logger) *Handler {
	return &Handler{rules: rules, trigger: trigger, log: log, slots: make(chan struct{}, mostTriggers), ctx: ctx}
}

// Wait returns when nothing is under way any more.
func (h *Handler) Wait() { h.work.Wait() }

// Routes are the handler's, as http.ServeMux has them.
func (h *Handler) Routes() map[string]http.Handler {
	return map[string]http.Handler{
		"POST /hooks/distribution": h.take("distribution", h.rules.bearer, distribution),
		"POST /hooks/dockerhub":    h.take("dockerhub", h.rules.inQuery, dockerHub),
		"POST /hooks/github":       h.take("github", h.rules.signed, gitHub),
	}
}

// outcome is what became of one trigger, as its sender reads it.
type outcome struct {
	Service string `json:"service"`
	Image   string `json:"image"`
	// Reply is missing while the leader has not decided.
	Reply *api.Reply `json:"reply,omitempty"`
}

// Private

// take answers one form of request. A sender that is told 503 may come again:
// what it tells is triggered once.
func (h *Handler) take(form string, knows func(*http.Request, []byte) bool, read func([]byte) ([]push, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		if _, large := errors.AsType[*http.MaxBytesError](err); large {
			refuse(w, http.StatusRequestEntityTooLarge, "the body is too large")
			return
		}
		if err != nil {
			refuse(w, http.StatusBadRequest, "the body ended early")
			return
		}
		if !knows(r, body) {
			h.log.Warn().Str("form", form).Str("from", r.RemoteAddr).Msg("hook without the secret")
			refuse(w, http.StatusUnauthorized, "the secret is missing or wrong")
			return
		}
		pushes, err := read(body)
		if err != nil || len(pushes) > mostPushes {
			refuse(w, http.StatusBadRequest, "not what "+form+" sends")
			return
		}
		for k := range pushes {
			pushes[k].trace = r.Header.Get("traceparent")
		}
		h.answer(w, r, form, pushes)
	})
}

// begun is a trigger that is being worked on.
type begun struct {
	outcome outcome
	decided <-chan api.Reply
}

// answer triggers what the rules say, and tells the sender.
func (h *Handler) answer(w http.ResponseWriter, r *http.Request, form string, pushes []push) {
	all, ok := h.begin(form, pushes) //nolint:contextcheck // it outlives the request
	if !ok {
		w.Header().Set("Retry-After", "10")
		refuse(w, http.StatusServiceUnavailable, "too much at once")
		return
	}
	ctx, stop := context.WithTimeout(r.Context(), soon)
	defer stop()
	status := http.StatusOK
	outcomes := []outcome{}
	for _, one := range all {
		select {
		case reply, decided := <-one.decided:
			if decided {
				one.outcome.Reply = &reply
			}
		case <-ctx.Done():
		}
		if one.outcome.Reply == nil {
			status = http.StatusAccepted // it is tried on
		}
		outcomes = append(outcomes, one.outcome)
	}
	tell(w, status, map[string]any{"triggers": outcomes})
}

// begin works on what the rules say; false means that it is too much.
func (h *Handler) begin(form string, pushes []push) ([]begun, bool) {
	var all []begun
	for _, p := range pushes {
		for _, rule := range h.rules.rules {
			if !p.valid() || !rule.takes(p) {
				continue
			}
			decided, ok := h.start(form, rule, p)
			if !ok {
				return nil, false
			}
			all = append(all, begun{outcome{Service: rule.Service, Image: rule.image(p)}, decided})
		}
	}
	return all, true
}

// start works on a trigger, beyond the end of the request that asked for it. The
// channel gets what the leader decided; it is closed without if nobody did.
func (h *Handler) start(form string, r rule, p push) (<-chan api.Reply, bool) {
	select {
	case h.slots <- struct{}{}:
	default:
		return nil, false
	}
	t := api.Trigger{
		ID: "push/" + form + "/" + p.id, Image: r.image(p), Replace: r.Replace,
		By: "registry", Reason: "pushed to " + p.registry + "/" + p.repository + ":" + p.tag,
		Trace: p.trace,
	}
	decided := make(chan api.Reply, 1)
	h.work.Go(func() {
		defer func() { <-h.slots }()
		defer close(decided)
		h.put(r.Service, t, decided)
	})
	return decided, true
}

// put tries until the leader has decided, or for as long as is worth it.
func (h *Handler) put(service string, t api.Trigger, decided chan<- api.Reply) {
	ctx, stop := context.WithTimeout(h.ctx, patience)
	defer stop()
	log := h.log.With().Str("service", service).Str("image", t.Image).Logger()
	for {
		reply, err := h.trigger(ctx, service, t)
		if err == nil && (reply.OK || reply.Code != rollout.CodeBusy) {
			log.Info().Bool("ok", reply.OK).Str("rollout", reply.Rollout).Str("message", reply.Message).Msg("push triggered")
			decided <- reply
			return
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			log.Warn().AnErr("error", err).Str("message", reply.Message).Msg("push not decided: nobody leads, or no host answers")
			return
		}
	}
}

func refuse(w http.ResponseWriter, status int, message string) {
	tell(w, status, api.Reply{Message: message})
}

func tell(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // who asked has gone, if it fails
}
