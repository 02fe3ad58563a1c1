package dockertest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// refusal is an answer that is not success.
type refusal struct {
	status  int
	message string
}

func refusef(status int, format string, args ...any) *refusal {
	return &refusal{status: status, message: fmt.Sprintf(format, args...)}
}

func noSuchContainer(id string) *refusal {
	return refusef(http.StatusNotFound, "No such container: %s", id)
}

// handler routes requests, with or without an API version before the path.
func (f *Fake) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/_ping", f.ping)
	mux.HandleFunc("GET /version", f.version)
	mux.HandleFunc("GET /info", f.info)
	mux.HandleFunc("GET /events", f.streamEvents)
	mux.HandleFunc("GET /containers/json", f.listContainers)
	mux.HandleFunc("POST /containers/create", f.createContainer)
	mux.HandleFunc("GET /containers/{id}/json", f.onContainer(f.inspectContainer))
	mux.HandleFunc("GET /containers/{id}/stats", f.onContainer(f.containerStats))
	mux.HandleFunc("GET /containers/{id}/logs", f.onContainer(f.containerLogs))
	mux.HandleFunc("POST /containers/{id}/start", f.onContainer(f.startContainer))
	mux.HandleFunc("POST /containers/{id}/stop", f.onContainer(f.stopContainer))
	mux.HandleFunc("POST /containers/{id}/kill", f.onContainer(f.killContainer))
	mux.HandleFunc("POST /containers/{id}/pause", f.onContainer(f.pauseContainer))
	mux.HandleFunc("POST /containers/{id}/unpause", f.onContainer(f.unpauseContainer))
	mux.HandleFunc("DELETE /containers/{id}", f.onContainer(f.removeContainer))
	mux.HandleFunc("POST /images/create", f.pullImage)
	mux.HandleFunc("GET /images/", f.inspectImage)
	mux.HandleFunc("GET /distribution/", f.inspectDistribution)
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		refuse(w, http.StatusNotFound, "page not found")
	})
	return f.versioned(f.guard(mux))
}

// versioned takes the API version off the path.
func (f *Fake) versioned(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		ours := f.apiVersion
		f.mu.Unlock()
		w.Header().Set("Api-Version", ours)
		w.Header().Set("Ostype", "linux")
		w.Header().Set("Server", "Docker/20.10.24 (linux)")
		if rest, ok := strings.CutPrefix(r.URL.Path, "/v1."); ok {
			minor, path, _ := strings.Cut(rest, "/")
			if "1."+minor != ours {
				refuse(w, http.StatusBadRequest, "client version 1."+minor+" is not supported. The API version is "+ours)
				return
			}
			r.URL.Path = "/" + path
		}
		next.ServeHTTP(w, r)
	})
}

func (f *Fake) ping(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet {
		_, _ = w.Write([]byte("OK"))
	}
}

func (f *Fake) version(w http.ResponseWriter, _ *http.Request) {
	f.mu.Lock()
	api := f.apiVersion
	f.mu.Unlock()
	answer(w, http.StatusOK, map[string]any{"Version": "20.10.24", "ApiVersion": api, "MinAPIVersion": api, "Os": "linux", "Arch": "amd64"})
}

func (f *Fake) info(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, map[string]any{
		"ServerVersion": "20.10.24", "LiveRestoreEnabled": f.cfg.LiveRestore, "OSType": "linux", "NCPU": 2, "Driver": "overlay2",
	})
}

// onContainer finds the container that the path names.
func (f *Fake) onContainer(do func(http.ResponseWriter, *http.Request, *instance)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c := f.find(r.PathValue("id"))
		if c == nil {
			noSuchContainer(r.PathValue("id")).write(w)
			return
		}
		do(w, r, c)
	}
}

func (r *refusal) write(w http.ResponseWriter) {
	if r.status == http.StatusNotModified {
		w.WriteHeader(r.status)
		return
	}
	refuse(w, r.status, r.message)
}

func refuse(w http.ResponseWriter, status int, message string) {
	answer(w, status, map[string]string{"message": message})
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

func isSet(r *http.Request, key string) bool {
	on, _ := strconv.ParseBool(r.URL.Query().Get(key))
	return on
}
