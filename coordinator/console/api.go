package console

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"slices"

	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/bus"
	"github.com/serin-rollouts/serin/internal/rollout"
	"github.com/serin-rollouts/serin/internal/trace"
)

const maxBody = 16 << 10

// Codes of refusals that are the console's own.
const (
	codeLogin     rollout.Code = "login"     // nobody has logged in
	codeForbidden rollout.Code = "forbidden" // the role, or where the request comes from
)

// Session is what the pages know of who looks at them.
type Session struct {
	Replica string `json:"replica"`
	Version string `json:"version,omitempty"`
	// Name and Role are empty for one who has to log in first.
	Name string `json:"name,omitempty"`
	Role string `json:"role,omitempty"`
	// Login says that there are tokens.
	Login bool `json:"login"`
	// ReadOnly says why commands are refused; empty if they are not.
	ReadOnly string `json:"read_only,omitempty"`
	// Refused says why somebody is not let in at all.
	Refused string   `json:"refused,omitempty"`
	Peers   []string `json:"peers,omitempty"`
}

// verbs are the commands that the console passes on.
func verbs() []string {
	return []string{api.Promote, api.Pause, api.Resume, api.Abort, api.Rollback, api.Release, api.Freezing, api.Thawing}
}

// handler answers one who is known.
type handler func(l *live, w http.ResponseWriter, r *http.Request, p person)

// api is everything under /api/: what is not there is told as JSON, too.
func (c *Console) api() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v1/session", c.session)
	mux.Handle("POST /api/v1/login", c.posted(c.login))
	mux.Handle("POST /api/v1/logout", c.posted(c.logout))
	mux.Handle("POST /api/v1/pass", c.posted(c.pass))
	for pattern, what := range map[string]string{
		"services": api.GetServices, "hosts": api.GetHosts, "cluster": api.GetCluster,
		"services/{id}": api.GetService, "services/{id}/history": api.GetHistory, "hosts/{id}": api.GetHost,
		"rollouts/{id}": api.GetRollout, "rollouts/{id}/explain": api.GetExplain, "rollouts/{id}/diff": api.GetDiff,
	} {
		mux.Handle("GET /api/v1/"+pattern, c.known(read(what)))
	}
	mux.Handle("GET /api/v1/rollouts/{id}/curve", c.known(curve))
	mux.Handle("GET /api/v1/stream", c.known(c.stream))
	mux.Handle("POST /api/v1/services/{service}/{verb}", c.posted(c.known(c.command).ServeHTTP))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		if c.access.cors(w, r) {
			return
		}
		if _, pattern := mux.Handler(r); pattern == "" {
			lost(mux, w, r)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// Private

// known lets those through who may look, once the replica is open.
func (c *Console) known(next handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, err := c.access.who(r)
		switch {
		case errors.Is(err, errLogin), errors.Is(err, errToken):
			refuse(w, http.StatusUnauthorized, codeLogin, err.Error())
			return
		case err != nil:
			refuse(w, http.StatusForbidden, codeForbidden, err.Error())
			return
		}
		l := c.live.Load()
		if l == nil {
			refuse(w, http.StatusServiceUnavailable, rollout.CodeBusy, "this replica is starting, or ending")
			return
		}
		next(l, w, r, p)
	})
}

// posted keeps out what another site's page has sent: by where the browser says
// that it comes from, and by a content type that no form has.
func (c *Console) posted(next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := c.origin.Check(r); err != nil {
			refuse(w, http.StatusForbidden, codeForbidden, "this request comes from another site")
			return
		}
		if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
			refuse(w, http.StatusUnsupportedMediaType, rollout.CodeInvalid, "send application/json")
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		next(w, r)
	})
}

// lost answers what no route takes: the router knows whether it is the path or the
// method, but says so in plain text.
func lost(mux *http.ServeMux, w http.ResponseWriter, r *http.Request) {
	why := silent{ResponseWriter: w}
	mux.ServeHTTP(&why, r)
	if why.status == http.StatusMethodNotAllowed {
		refuse(w, why.status, rollout.CodeInvalid, r.Method+" is not taken at "+r.URL.Path+", but "+w.Header().Get("Allow"))
		return
	}
	refuse(w, http.StatusNotFound, rollout.CodeUnknown, "nothing is at "+r.URL.Path+"; the paths begin with /api/v1/, and docs/console.md lists them")
}

// silent takes an answer's head, and sends nothing.
type silent struct {
	http.ResponseWriter

	status int
}

func (s *silent) WriteHeader(status int)      { s.status = status }
func (s *silent) Write(p []byte) (int, error) { return len(p), nil }

func (c *Console) session(w http.ResponseWriter, r *http.Request) {
	s := Session{Replica: c.cfg.Replica, Version: c.cfg.Version, Login: c.cfg.Tokens != "", Peers: c.cfg.Peers}
	p, err := c.access.who(r)
	switch {
	case err == nil:
		s.Name, s.Role, s.ReadOnly = p.Name, string(p.Role), c.access.readOnly(p)
	case !errors.Is(err, errLogin):
		s.Refused = err.Error()
	}
	send(w, http.StatusOK, s)
}

func (c *Console) login(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Token string `json:"token"`
	}
	if !readBody(w, r, &body) {
		return
	}
	if c.cfg.Tokens == "" {
		refuse(w, http.StatusNotFound, rollout.CodeInvalid, "there is no login here: console.tokens is not set")
		return
	}
	p, known, err := c.access.keys.find(body.Token)
	switch {
	case err != nil:
		refuse(w, http.StatusForbidden, codeForbidden, err.Error())
	case !known:
		c.log.Warn().Str("from", r.RemoteAddr).Msg("console: a token that is not known")
		refuse(w, http.StatusUnauthorized, codeLogin, errToken.Error())
	default:
		c.log.Info().Str("by", p.Name).Str("role", string(p.Role)).Msg("console: logged in")
		http.SetCookie(w, cookie(r, body.Token, cookieLife))
		send(w, http.StatusOK, api.Reply{OK: true})
	}
}

func (*Console) logout(w http.ResponseWriter, r *http.Request) {
	http.SetCookie(w, cookie(r, "", -1))
	send(w, http.StatusOK, api.Reply{OK: true})
}

// pass hands a page the token of its cookie, for the replica that it turns to when
// this one is away: cookies do not go there. No other site can read the answer.
func (c *Console) pass(w http.ResponseWriter, r *http.Request) {
	if _, err := c.access.who(r); err != nil || len(c.cfg.Peers) == 0 || c.cfg.Tokens == "" {
		send(w, http.StatusOK, map[string]string{})
		return
	}
	send(w, http.StatusOK, map[string]string{"token": tokenOf(r)})
}

// read passes a question on to the leader, and the answer back as it is.
func read(what string) handler {
	return func(l *live, w http.ResponseWriter, r *http.Request, _ person) {
		id := r.PathValue("id")
		if id != "" && bus.ValidToken(id) != nil {
			refuse(w, http.StatusNotFound, rollout.CodeUnknown, "nothing can have this name")
			return
		}
		answer, err := l.ask(r.Context(), question{subject: bus.GetSubject(what, id), again: true})
		reply(w, answer, err)
	}
}

func curve(l *live, w http.ResponseWriter, r *http.Request, _ person) {
	points, _ := l.curves.since(r.PathValue("id"), 0)
	send(w, http.StatusOK, api.Answer[[]Point]{Reply: api.Reply{OK: true}, Data: points})
}

// command passes a verb on to the leader, in the name of who asks.
func (c *Console) command(l *live, w http.ResponseWriter, r *http.Request, p person) {
	if why := c.access.readOnly(p); why != "" {
		refuse(w, http.StatusForbidden, codeForbidden, why)
		return
	}
	service, verb := r.PathValue("service"), r.PathValue("verb")
	if !slices.Contains(verbs(), verb) || bus.ValidToken(service) != nil {
		refuse(w, http.StatusNotFound, rollout.CodeUnknown, "no such service or verb")
		return
	}
	var body api.Command
	if !readBody(w, r, &body) {
		return
	}
	body.By = p.Name
	data, err := json.Marshal(body)
	if err != nil {
		refuse(w, http.StatusBadRequest, rollout.CodeInvalid, err.Error())
		return
	}
	c.log.Info().Str("by", p.Name).Str("verb", verb).Str("service", service).Str("rollout", body.Rollout).Msg("console: command")
	errand := c.begin(r, trace.Command{Verb: verb, Service: service, Rollout: body.Rollout, By: p.Name})
	answer, err := l.ask(r.Context(), question{
		subject: bus.CommandSubject(verb, service), header: errand.header(), data: data, again: body.ID != "" && verb == api.Rollback,
	})
	errand.end(answer, err)
	reply(w, answer, err)
}

func readBody(w http.ResponseWriter, r *http.Request, to any) bool {
	decoder := json.NewDecoder(r.Body)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(to); err != nil && !errors.Is(err, io.EOF) {
		refuse(w, http.StatusBadRequest, rollout.CodeInvalid, "request is not understood: "+err.Error())
		return false
	}
	return true
}

// reply passes on what the leader says.
func reply(w http.ResponseWriter, answer []byte, err error) {
	if err != nil {
		refuse(w, http.StatusServiceUnavailable, rollout.CodeBusy, unanswered(err))
		return
	}
	write(w, statusOf(answer), answer)
}

func refuse(w http.ResponseWriter, status int, code rollout.Code, message string) {
	send(w, status, api.Reply{Code: code, Message: message})
}

func send(w http.ResponseWriter, status int, body any) {
	data, err := json.Marshal(body)
	if err != nil {
		status, data = http.StatusInternalServerError, []byte(`{"ok":false}`)
	}
	write(w, status, data)
}

func write(w http.ResponseWriter, status int, data []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(data) // who asked has gone, if it fails
}
