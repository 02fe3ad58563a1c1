package hooks

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/distribution/reference"
)

// How many pushes one request may tell of, and how long their ids may be.
const (
	mostPushes = 100
	longestID  = 300
)

// push is a tag that a registry says it has got.
type push struct {
	registry   string // registry.example.com:5000
	repository string // team/checkout
	tag        string
	digest     string // sha256:..., empty if it was not told
	id         string // the same each time that the registry tells of it
	trace      string // where in a trace it was told (W3C's traceparent); may be wrong
}

// Private

// valid tells whether it names an image, in the grammar of Docker's own, and
// can be told from other pushes.
func (p push) valid() bool {
	_, err := reference.ParseNamed(rule{}.image(p))
	return err == nil && p.id != "" && len(p.id) <= longestID
}

// distribution reads the notifications of the registry of that name: those of
// pulls, deletions, and manifests without a tag are of no interest.
func distribution(body []byte) ([]push, error) {
	var envelope struct {
		Events []struct {
			ID     string `json:"id"`
			Action string `json:"action"`
			Target struct {
				Repository string `json:"repository"`
				Tag        string `json:"tag"`
				Digest     string `json:"digest"`
			} `json:"target"`
			Request struct {
				Host string `json:"host"`
			} `json:"request"`
		} `json:"events"`
	}
	if err := json.Unmarshal(body, &envelope); err != nil {
		return nil, err
	}
	if envelope.Events == nil {
		return nil, errors.New("events: is missing")
	}
	var pushes []push
	for _, e := range envelope.Events {
		if e.Action != "push" || e.Target.Tag == "" {
			continue
		}
		pushes = append(pushes, push{
			registry: e.Request.Host, repository: e.Target.Repository, tag: e.Target.Tag, digest: e.Target.Digest, id: e.ID,
		})
	}
	return pushes, nil
}

// dockerHub reads a webhook of Docker Hub's, which tells no digest.
func dockerHub(body []byte) ([]push, error) {
	var hook struct {
		Push struct {
			At  json.Number `json:"pushed_at"`
			Tag string      `json:"tag"`
		} `json:"push_data"`
		Repository struct {
			Name string `json:"repo_name"`
		} `json:"repository"`
	}
	if err := json.Unmarshal(body, &hook); err != nil {
		return nil, err
	}
	name, tag := hook.Repository.Name, hook.Push.Tag
	if name == "" || tag == "" {
		return nil, errors.New("repository.repo_name or push_data.tag: is missing")
	}
	return []push{{registry: "docker.io", repository: name, tag: tag, id: name + ":" + tag + "@" + hook.Push.At.String()}}, nil
}

// gitHubPackage is the part of GitHub's payload that two events share.
type gitHubPackage struct {
	Version struct {
		ID        int64  `json:"id"`
		URL       string `json:"package_url"`
		Container struct {
			Tag struct {
				Name   string `json:"name"`
				Digest string `json:"digest"`
			} `json:"tag"`
		} `json:"container_metadata"`
	} `json:"package_version"`
}

// gitHub reads a webhook of GitHub's: the events package and registry_package,
// where something with a tag was published. Of others there is nothing to do.
func gitHub(body []byte) ([]push, error) {
	var hook struct {
		Action          string         `json:"action"`
		Package         *gitHubPackage `json:"package"`
		RegistryPackage *gitHubPackage `json:"registry_package"`
	}
	if err := json.Unmarshal(body, &hook); err != nil {
		return nil, err
	}
	p := hook.Package
	if p == nil {
		p = hook.RegistryPackage
	}
	if p == nil || hook.Action != "published" && hook.Action != "updated" || p.Version.Container.Tag.Name == "" {
		return nil, nil
	}
	tag := p.Version.Container.Tag
	name := strings.TrimSuffix(strings.TrimSuffix(p.Version.URL, ":"), ":"+tag.Name)
	registry, repository, ok := strings.Cut(name, "/")
	if !ok {
		return nil, fmt.Errorf("package_version.package_url: %q is no image", p.Version.URL)
	}
	return []push{{
		registry: registry, repository: strings.ToLower(repository), tag: tag.Name, digest: tag.Digest,
		id: strconv.FormatInt(p.Version.ID, 10) + ":" + tag.Name + "@" + tag.Digest,
	}}, nil
}
