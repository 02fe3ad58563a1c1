package console

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"strings"
)

//go:embed assets
var embedded embed.FS

// Private

// kindOf is the content type of what is embedded; the machine's own list may say
// anything.
func kindOf(name string) string {
	switch path.Ext(name) {
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	}
	return "text/html; charset=utf-8"
}

// assets are the files of the pages.
type assets struct {
	files map[string]asset
	// policy is the Content-Security-Policy of the pages: nothing from elsewhere,
	// nothing inline, and no string that becomes markup.
	policy string
}

type asset struct {
	data []byte
	kind string
	tag  string // changes with the content
}

func readAssets(cfg Config) (assets, error) {
	a := assets{files: map[string]asset{}}
	entries, err := fs.ReadDir(embedded, "assets")
	if err != nil {
		return a, err
	}
	for _, e := range entries {
		data, err := embedded.ReadFile("assets/" + e.Name())
		if err != nil {
			return a, err
		}
		sum := sha256.Sum256(data)
		a.files[e.Name()] = asset{data, kindOf(e.Name()), `"` + hex.EncodeToString(sum[:8]) + `"`}
	}
	a.policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src " +
		strings.Join(append([]string{"'self'"}, cfg.Peers...), " ") +
		"; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'"
	return a, nil
}

// page adds what every answer to a browser has.
func (c *Console) page(next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", c.assets.policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		next(w, r)
	})
}

// serveShell answers every page: the same few lines, which the scripts fill.
func (a *assets) serveShell(w http.ResponseWriter, r *http.Request) { a.serve(w, r, "index.html") }

func (a *assets) serveFile(w http.ResponseWriter, r *http.Request) {
	a.serve(w, r, r.PathValue("file"))
}

func (a *assets) serve(w http.ResponseWriter, r *http.Request, name string) {
	f, known := a.files[name]
	if !known {
		http.NotFound(w, r)
		return
	}
	h := w.Header()
	h.Set("Content-Type", f.kind)
	h.Set("Etag", f.tag)
	h.Set("Cache-Control", "no-cache") // ask each time: another release may serve the next request
	if r.Header.Get("If-None-Match") == f.tag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Length", strconv.Itoa(len(f.data)))
	_, _ = w.Write(f.data) // who asked has gone, if it fails
}
