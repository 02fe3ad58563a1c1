package dockertest

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"slices"
	"strings"
)

// Fault makes the Engine fail matching requests.
type Fault struct {
	Method string // "" is any
	Path   string // a part of the path, without the API version; "" is any
	Times  int    // how many requests; 0 is one, a negative number is all

	// Status and Message are answered instead of the truth.
	Status  int
	Message string

	Hang bool // no answer until the client goes away
	Drop bool // the connection breaks instead of an answer

	// Late does the work first: the request has its effect, and only the
	// answer fails.
	Late bool
}

// Inject adds a fault; remove takes it back.
func (f *Fake) Inject(fault Fault) (remove func()) {
	if fault.Times == 0 {
		fault.Times = 1
	}
	planted := &fault
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults = append(f.faults, planted)
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.faults = slices.DeleteFunc(f.faults, func(x *Fault) bool { return x == planted })
	}
}

// Requests returns how many requests have come whose path contains part.
func (f *Fake) Requests(method, part string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for request, times := range f.requests {
		if m, path, _ := strings.Cut(request, " "); m == method && strings.Contains(path, part) {
			n += times
		}
	}
	return n
}

// Private

// faultFor counts a request, and uses up one turn of the first fault that matches.
func (f *Fake) faultFor(method, path string) (Fault, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.requests[method+" "+path]++
	for i, fault := range f.faults {
		if fault.Method != "" && fault.Method != method || !strings.Contains(path, fault.Path) {
			continue
		}
		if fault.Times > 0 {
			fault.Times--
		}
		if fault.Times == 0 {
			f.faults = slices.Delete(f.faults, i, i+1)
		}
		return *fault, true
	}
	return Fault{}, false
}

// guard freezes and fails requests. It reads the body first: only then does
// the server notice a client that goes away.
func (f *Fake) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || !f.awake(r.Context()) {
			panic(http.ErrAbortHandler)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		fault, failing := f.faultFor(r.Method, r.URL.Path)
		if !failing {
			next.ServeHTTP(w, r)
			return
		}
		if fault.Late {
			next.ServeHTTP(&lost{header: http.Header{}}, r)
		}
		f.fail(r.Context(), w, fault)
	})
}

func (f *Fake) fail(ctx context.Context, w http.ResponseWriter, fault Fault) {
	switch {
	case fault.Hang:
		select {
		case <-ctx.Done():
		case <-f.closed:
		}
		panic(http.ErrAbortHandler)
	case fault.Drop || fault.Status == 0:
		panic(http.ErrAbortHandler)
	default:
		refuse(w, fault.Status, fault.Message)
	}
}

// lost is where answers go that nobody gets.
type lost struct{ header http.Header }

func (l *lost) Header() http.Header         { return l.header }
func (l *lost) Write(p []byte) (int, error) { return len(p), nil }
func (l *lost) WriteHeader(int)             {}
