package dockertest

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/distribution/reference"
)

// Private

func (f *Fake) inspectImage(w http.ResponseWriter, r *http.Request) {
	ref := strings.TrimSuffix(strings.TrimPrefix(r.URL.Path, "/images/"), "/json")
	f.mu.Lock()
	var body map[string]any
	if s := f.image(ref); s != nil {
		body = map[string]any{
			"Id": s.id, "RepoTags": names(s.tags), "RepoDigests": names(s.digests),
			"Config": map[string]any{"Labels": s.Labels},
		}
	}
	f.mu.Unlock()
	if body == nil {
		refuse(w, http.StatusNotFound, "no such image: "+ref+": No such image: "+ref)
		return
	}
	answer(w, http.StatusOK, body)
}

func (f *Fake) inspectDistribution(w http.ResponseWriter, r *http.Request) {
	ref := strings.TrimSuffix(strings.TrimPrefix(r.URL.Path, "/distribution/"), "/json")
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	digest, _, refusal := f.cfg.Registry.find(named)
	if refusal != "" {
		refuse(w, http.StatusInternalServerError, refusal)
		return
	}
	answer(w, http.StatusOK, map[string]any{
		"Descriptor": map[string]any{
			"mediaType": "application/vnd.docker.distribution.manifest.v2+json", "digest": digest, "size": 1,
		},
		"Platforms": []any{map[string]any{"architecture": "amd64", "os": "linux"}},
	})
}

// pullImage answers with a stream of progress messages, the last of which may
// be an error.
func (f *Fake) pullImage(w http.ResponseWriter, r *http.Request) {
	from, tag := r.URL.Query().Get("fromImage"), r.URL.Query().Get("tag")
	sep := ":"
	if strings.Contains(tag, ":") {
		sep = "@"
	}
	named, err := reference.ParseNormalizedNamed(from + sep + tag)
	if err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	digest, image, refusal := f.cfg.Registry.find(named)
	if refusal != "" && sep == ":" {
		refuse(w, http.StatusNotFound, refusal)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	messages := json.NewEncoder(w)
	_ = messages.Encode(map[string]string{"status": "Pulling from " + reference.Path(named), "id": tag})
	_ = http.NewResponseController(w).Flush()
	f.work("pull")
	if refusal != "" {
		_ = messages.Encode(map[string]any{"error": refusal, "errorDetail": map[string]string{"message": refusal}})
		return
	}
	f.mu.Lock()
	s := f.store(image)
	s.digests[named.Name()+"@"+digest] = true
	if sep == ":" {
		f.tag(named.String(), s)
	}
	f.mu.Unlock()
	_ = messages.Encode(map[string]string{"status": "Status: Downloaded newer image"})
}
