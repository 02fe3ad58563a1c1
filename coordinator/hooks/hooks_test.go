package hooks

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/rollout"
)

const secret = "correct-horse-battery"

// leader takes triggers down.
type leader struct {
	mu    sync.Mutex
	asked []api.Trigger
	of    []string
	// say is asked with the number of the try; nil: all is good.
	say func(try int) (api.Reply, error)
}

func (l *leader) trigger(_ context.Context, service string, t api.Trigger) (api.Reply, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked, l.of = append(l.asked, t), append(l.of, service)
	if l.say != nil {
		return l.say(len(l.asked))
	}
	return api.Reply{OK: true, Rollout: service + "-1"}, nil
}

func rules(t *testing.T, text string) *Rules {
	t.Helper()
	r, err := Load(write(t, text))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// write makes a file of rules, with a file of the secret beside it.
func write(t *testing.T, text string) string {
	t.Helper()
	dir := t.TempDir()
	name := filepath.Join(dir, "hooks.yaml")
	for file, text := range map[string]string{
		name:                              strings.ReplaceAll(text, "DIR", dir),
		filepath.Join(dir, "secret"):      secret + "\n",
		filepath.Join(dir, "secret-weak"): "secret",
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return name
}

const some = `secret_file: DIR/secret
rules:
  - {repository: "*/checkout", tag: "1.*", service: checkout}
  - {repository: "*.io/example/checkout", service: hub, registry: mirror.example.com, replace: true}
`

func body(t *testing.T, form string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", form+".json"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// request is one that knows the secret.
func request(t *testing.T, form, body string) *http.Request {
	t.Helper()
	target := "/hooks/" + form
	if form == "dockerhub" {
		target += "?secret=" + secret
	}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, target, strings.NewReader(body))
	switch form {
	case "distribution":
		r.Header.Set("Authorization", "Bearer "+secret)
	case "github":
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte(body))
		r.Header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	}
	return r
}

// serve answers a request as httpd does.
func serve(h *Handler, r *http.Request) *httptest.ResponseRecorder {
	mux := http.NewServeMux()
	for pattern, handler := range h.Routes() {
		mux.Handle(pattern, handler)
	}
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, r)
	return w
}

// Each form becomes a trigger, which was sent where in a trace the request was.
func TestForms(t *testing.T) {
	const sent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	for form, want := range map[string]struct {
		of       []string
		triggers []api.Trigger
	}{
		"distribution": {[]string{"checkout"}, []api.Trigger{{
			ID:    "push/distribution/61e3e4f5-2e5a-4f3f-90c7-7a3f4b1b7b2c",
			Image: "registry.example.com:5000/checkout:1.4.0@sha256:" + strings.Repeat("b", 64),
			By:    "registry", Reason: "pushed to registry.example.com:5000/checkout:1.4.0",
		}}},
		"dockerhub": {[]string{"hub"}, []api.Trigger{{
			ID: "push/dockerhub/example/checkout:1.4.0@1417566161", Image: "mirror.example.com/example/checkout:1.4.0",
			By: "registry", Reason: "pushed to docker.io/example/checkout:1.4.0", Replace: true,
		}}},
		"github": {[]string{"hub"}, []api.Trigger{{
			ID:    "push/github/4711:1.4.0@sha256:" + strings.Repeat("c", 64),
			Image: "mirror.example.com/example/checkout:1.4.0@sha256:" + strings.Repeat("c", 64),
			By:    "registry", Reason: "pushed to ghcr.io/example/checkout:1.4.0", Replace: true,
		}}},
	} {
		var l leader
		h := New(t.Context(), rules(t, some), l.trigger, zerolog.Nop())
		// Told twice, it is the same trigger.
		for range 2 {
			r := request(t, form, body(t, form))
			r.Header.Set("Traceparent", sent)
			w := serve(h, r)
			if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `"rollout":"`+want.of[0]+`-1"`) {
				t.Errorf("%s: %d %s", form, w.Code, w.Body)
			}
		}
		for k := range want.triggers {
			want.triggers[k].Trace = sent
		}
		if diff := cmp.Diff(append(want.triggers, want.triggers...), l.asked); diff != "" {
			t.Errorf("%s: triggers (-want +got):\n%s", form, diff)
		}
		if diff := cmp.Diff(append(want.of, want.of...), l.of); diff != "" {
			t.Errorf("%s: services (-want +got):\n%s", form, diff)
		}
		for _, trigger := range l.asked {
			data, err := json.Marshal(trigger)
			if err != nil {
				t.Fatal(err)
			}
			if _, problem := api.ParseTrigger(data); problem != nil {
				t.Errorf("%s: the coordinator does not take it: %v", form, problem)
			}
		}
	}
}

// What is no push, or for no service, triggers nothing, and is no failure: its
// sender need not come again.
func TestIgnores(t *testing.T) {
	for name, c := range map[string]struct{ form, body string }{
		"another repository": {"distribution", strings.ReplaceAll(body(t, "distribution"), `"checkout"`, `"search"`)},
		"another tag":        {"distribution", strings.ReplaceAll(body(t, "distribution"), "1.4.0", "latest")},
		"no tag":             {"distribution", strings.ReplaceAll(body(t, "distribution"), `"tag": "1.4.0"`, `"tag": ""`)},
		"no image":           {"distribution", strings.ReplaceAll(body(t, "distribution"), `"1.4.0"`, `"1.4 0"`)},
		"no id":              {"distribution", strings.ReplaceAll(body(t, "distribution"), "61e3e4f5-2e5a-4f3f-90c7-7a3f4b1b7b2c", "")},
		"a long id":          {"distribution", strings.ReplaceAll(body(t, "distribution"), "61e3e4f5", strings.Repeat("x", 300))},
		"no events":          {"distribution", `{"events": []}`},
		"a ping":             {"github", `{"zen": "Design for failure.", "hook_id": 1}`},
		"a deletion":         {"github", strings.ReplaceAll(body(t, "github"), "published", "deleted")},
		"a layer":            {"github", strings.ReplaceAll(body(t, "github"), `"name": "1.4.0"`, `"name": ""`)},
	} {
		var l leader
		w := serve(New(t.Context(), rules(t, some), l.trigger, zerolog.Nop()), request(t, c.form, c.body))
		if w.Code != http.StatusOK || w.Body.String() != `{"triggers":[]}`+"\n" || len(l.asked) > 0 {
			t.Errorf("%s: %d %s, triggers %v", name, w.Code, w.Body, l.asked)
		}
	}
}

func TestRefuses(t *testing.T) {
	with := func(r *http.Request, key, value string) *http.Request {
		r.Header.Set(key, value)
		return r
	}
	bare := func(target string) *http.Request {
		return httptest.NewRequestWithContext(t.Context(), http.MethodPost, target, strings.NewReader(body(t, "distribution")))
	}
	for name, c := range map[string]struct {
		request *http.Request
		status  int
	}{
		"no secret":               {bare("/hooks/distribution"), 401},
		"a wrong secret":          {with(bare("/hooks/distribution"), "Authorization", "Bearer "+secret+"x"), 401},
		"an empty secret":         {with(bare("/hooks/distribution"), "Authorization", "Bearer "), 401},
		"a secret elsewhere":      {bare("/hooks/distribution?secret=" + secret), 401},
		"no secret in the URL":    {bare("/hooks/dockerhub"), 401},
		"a wrong one in the URL":  {bare("/hooks/dockerhub?secret=guess"), 401},
		"no signature":            {bare("/hooks/github"), 401},
		"a signature of SHA-1":    {with(bare("/hooks/github"), "X-Hub-Signature", "sha1=00"), 401},
		"a wrong signature":       {with(request(t, "github", "{}"), "X-Hub-Signature-256", "sha256="+strings.Repeat("0", 64)), 401},
		"a signature of a part":   {with(request(t, "github", "{}"), "X-Hub-Signature-256", "sha256=00"), 401},
		"no JSON":                 {request(t, "distribution", "events"), 400},
		"JSON of something else":  {request(t, "distribution", "{}"), 400},
		"a hook of something":     {request(t, "dockerhub", "{}"), 400},
		"a package without image": {request(t, "github", strings.ReplaceAll(body(t, "github"), "ghcr.io/Example/checkout:1.4.0", "")), 400},
		"too much":                {request(t, "github", strings.Repeat(" ", maxBody+1)), 413},
		"too many":                {request(t, "distribution", `{"events":[`+strings.Repeat(`{"action":"push","target":{"tag":"a"}},`, mostPushes)+`{"action":"push","target":{"tag":"a"}}]}`), 400},
		"another form":            {bare("/hooks/quay"), 404},
		"to read":                 {httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/hooks/github", nil), 405},
	} {
		var l leader
		w := serve(New(t.Context(), rules(t, some), l.trigger, zerolog.Nop()), c.request)
		if w.Code != c.status || strings.Contains(w.Body.String(), secret) || len(l.asked) > 0 {
			t.Errorf("%s: %d %s, want %d; triggers %v", name, w.Code, w.Body, c.status, l.asked)
		}
	}
}

// A trigger that nobody decides yet is tried on when its sender has gone; what is
// refused is not.
func TestTriesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := leader{say: func(try int) (api.Reply, error) {
			switch {
			case try < 10:
				return api.Reply{}, errors.New("nobody leads")
			case try < 20:
				return api.Reply{Code: rollout.CodeBusy, Message: "no host reports"}, nil
			}
			return api.Reply{Code: rollout.CodeConflict, Message: "checkout-6 runs"}, nil
		}}
		h := New(t.Context(), rules(t, some), l.trigger, zerolog.Nop())
		began := time.Now()
		w := serve(h, request(t, "distribution", body(t, "distribution")))
		if took := time.Since(began); w.Code != http.StatusAccepted || took != soon || strings.Contains(w.Body.String(), "reply") {
			t.Errorf("after %s: %d %s", took, w.Code, w.Body)
		}
		h.Wait()
		if len(l.asked) != 20 {
			t.Errorf("asked %d times, want 20", len(l.asked))
		}
		w = serve(h, request(t, "distribution", body(t, "distribution")))
		if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "checkout-6 runs") {
			t.Errorf("refused: %d %s", w.Code, w.Body)
		}
	})
}

// It gives up in the end, and takes no more than it can do.
func TestIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := leader{say: func(int) (api.Reply, error) { return api.Reply{}, errors.New("nobody leads") }}
		ctx, stop := context.WithCancel(t.Context())
		h := New(ctx, rules(t, some), l.trigger, zerolog.Nop())
		var senders sync.WaitGroup
		codes := make(chan int, 2*mostTriggers)
		for range cap(codes) {
			senders.Go(func() { codes <- serve(h, request(t, "dockerhub", body(t, "dockerhub"))).Code })
		}
		senders.Wait()
		close(codes)
		got := map[int]int{}
		for code := range codes {
			got[code]++
		}
		if got[http.StatusAccepted] != mostTriggers || got[http.StatusServiceUnavailable] != mostTriggers {
			t.Errorf("answers: %v", got)
		}
		began := time.Now()
		h.Wait()
		if took := time.Since(began); took > patience {
			t.Errorf("given up after %s", took)
		}
		// What is under way ends with the replica.
		serve(h, request(t, "dockerhub", body(t, "dockerhub")))
		began = time.Now()
		stop()
		h.Wait()
		if took := time.Since(began); took > 0 {
			t.Errorf("ended after %s", took)
		}
	})
}

func TestLoad(t *testing.T) {
	for text, want := range map[string]string{
		"":                         "secret_file: is missing",
		"secret_file: DIR/nothing": "secret_file: open",
		"secret_file: DIR/secret-weak\nrules: [{repository: a/b, service: a}]": "has 6 characters; 16 are the least",
		"secret_file: DIR/secret":                                                        "rules: there are none",
		"secret_file: DIR/secret\nrules: [{service: a}]":                                 "rules[0].repository: is missing",
		"secret_file: DIR/secret\nrules: [{repository: checkout, service: a}]":           "names no registry",
		"secret_file: DIR/secret\nrules: [{repository: a/b}]":                            "rules[0].service: ",
		"secret_file: DIR/secret\nrules: [{repository: a/b, service: a.b}]":              "rules[0].service: ",
		"secret_file: DIR/secret\nrules: [{repository: 'a/[', service: a}]":              "is no pattern",
		"secret_file: DIR/secret\nrules: [{repository: a/b, tag: '[', service: a}]":      "rules[0].tag: ",
		"secret_file: DIR/secret\nrules: [{repository: a/b, service: a, tags: ['1.*']}]": `unknown field "tags"`,
	} {
		if _, err := Load(write(t, text)); err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "hooks: ") {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	if _, err := Load(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("loads a file that is not there")
	}
}
