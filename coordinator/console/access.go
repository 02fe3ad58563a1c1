package console

import (
	"errors"
	"net/http"
	"slices"
	"strings"
)

const (
	cookieName = "serin_console"
	cookieLife = 12 * 60 * 60 // seconds
	// anybody is how who gives a command is called where nobody logs in.
	anybody = "console"
)

// Why somebody is not let in.
var (
	errLogin   = errors.New("log in with a token")
	errToken   = errors.New("this token is not known here")
	errNoLogin = errors.New("the console needs tokens on an address that others reach; set console.tokens, or listen on 127.0.0.1")
	errHost    = errors.New("without tokens the console answers to the names of this machine alone: localhost, 127.0.0.1 or [::1]")
)

// access knows who may do what.
type access struct {
	cfg  Config
	keys keyring
}

// who tells who sends a request, by its bearer token or its cookie.
func (a *access) who(r *http.Request) (person, error) {
	if a.cfg.Tokens == "" {
		return a.open(r)
	}
	token := tokenOf(r)
	if token == "" {
		return person{}, errLogin
	}
	p, known, err := a.keys.find(token)
	switch {
	case err != nil:
		return person{}, err
	case !known:
		return person{}, errToken
	}
	return p, nil
}

// readOnly says why somebody who may look may not give commands; empty if they
// may.
func (a *access) readOnly(p person) string {
	switch {
	case p.Role == operator:
		return ""
	case a.cfg.Tokens != "":
		return p.Name + " may look, not operate: the role is viewer"
	}
	return "this console is read-only: set console.operate: true on a loopback address, or console.tokens"
}

// Private

// open is the console without login. The name that the browser used has to be this
// machine's: otherwise a page from elsewhere could give its own name our address.
func (a *access) open(r *http.Request) (person, error) {
	switch {
	case !loopback(a.cfg.Listen):
		return person{}, errNoLogin
	case !loopback(r.Host):
		return person{}, errHost
	case a.cfg.Operate:
		return person{anybody, operator}, nil
	}
	return person{anybody, viewer}, nil
}

func tokenOf(r *http.Request) string {
	if token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		return strings.TrimSpace(token)
	}
	if cookie, err := r.Cookie(cookieName); err == nil {
		return cookie.Value
	}
	return ""
}

// cookie keeps a token in the browser, out of reach of scripts and of requests
// that other sites cause.
func cookie(r *http.Request, token string, life int) *http.Cookie {
	return &http.Cookie{
		Name: cookieName, Value: token, Path: "/", MaxAge: life,
		HttpOnly: true, SameSite: http.SameSiteStrictMode,
		Secure: r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https",
	}
}

// cors lets the pages of the other replicas read the answer, with a bearer token
// and not with cookies. It reports whether the request asked for no more.
func (a *access) cors(w http.ResponseWriter, r *http.Request) (done bool) {
	w.Header().Add("Vary", "Origin")
	origin := r.Header.Get("Origin")
	if origin == "" || !slices.Contains(a.cfg.Peers, origin) {
		return false
	}
	w.Header().Set("Access-Control-Allow-Origin", origin)
	if r.Method != http.MethodOptions {
		return false
	}
	w.Header().Set("Access-Control-Allow-Methods", "GET, POST")
	w.Header().Set("Access-Control-Allow-Headers", "Authorization, Content-Type, Last-Event-ID, Traceparent")
	w.Header().Set("Access-Control-Max-Age", "600")
	w.WriteHeader(http.StatusNoContent)
	return true
}
