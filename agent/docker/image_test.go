package docker_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/serin-rollouts/serin/agent/docker"
)

const noDigest = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

func TestResolveAndPull(t *testing.T) {
	inEachWorld(t, func(w *world) {
		t := w.T
		ctx := t.Context()
		ref, digest := w.push(t)
		repo := strings.TrimSuffix(ref, ":v1")
		want := docker.Image{Ref: repo + "@" + digest}
		for _, asked := range []string{ref, ref + "@" + digest, want.Ref} {
			if got, err := w.Resolve(ctx, asked); err != nil || got != want {
				t.Errorf("resolve %s: %+v, %v", asked, got, err)
			}
		}
		if has, err := w.HasImage(ctx, want.Ref); has || err != nil {
			t.Errorf("before the pull: %v, %v", has, err)
		}
		for range 2 {
			if err := w.Pull(ctx, want.Ref); err != nil {
				t.Fatal(err)
			}
		}
		if has, err := w.HasImage(ctx, want.Ref); !has || err != nil {
			t.Errorf("after the pull: %v, %v", has, err)
		}
		if c := w.run(t, w.spec("a", want.Ref)); c.Image != want.Ref || c.State != docker.StateRunning {
			t.Errorf("container of the pulled image: %+v", c)
		}
	})
}

// TestRemoveImages: what another repository names, too, stays; so do its
// containers.
func TestRemoveImages(t *testing.T) {
	w := realWorld(t)
	ctx := t.Context()
	pinned := make([]string, 2)
	repositories := make([]string, 2)
	for i := range pinned {
		ref, digest := w.push(t)
		repositories[i] = strings.TrimSuffix(ref, ":v1")
		pinned[i] = repositories[i] + "@" + digest
		if err := w.Pull(ctx, pinned[i]); err != nil {
			t.Fatal(err)
		}
	}
	other := w.run(t, w.spec("other", pinned[1]))
	for range 2 {
		if err := w.RemoveImages(ctx, repositories[0]); err != nil {
			t.Fatal(err)
		}
	}
	for i, want := range []bool{false, true} {
		if has, err := w.HasImage(ctx, pinned[i]); has != want || err != nil {
			t.Errorf("after the removal: %s: %v, %v", pinned[i], has, err)
		}
	}
	if err := w.Remove(ctx, other.ID); err != nil {
		t.Fatal(err)
	}
	if err := w.RemoveImages(ctx, repositories[1]); err != nil {
		t.Fatal(err)
	}
	if has, err := w.HasImage(ctx, pinned[1]); has || err != nil {
		t.Errorf("after the removal of the last: %v, %v", has, err)
	}
}

func TestResolveLocal(t *testing.T) {
	inEachWorld(t, func(w *world) {
		t := w.T
		ctx := t.Context()
		ref, id := w.load(t, "v1")
		want := docker.Image{Ref: id, Local: true}
		for _, asked := range []string{ref, id} {
			if got, err := w.Resolve(ctx, asked); err != nil || got != want {
				t.Errorf("resolve %s: %+v, %v", asked, got, err)
			}
		}
		if has, err := w.HasImage(ctx, id); !has || err != nil {
			t.Errorf("has %s: %v, %v", id, has, err)
		}
		if err := w.Pull(ctx, id); err != nil {
			t.Errorf("pull of an id that is here: %v", err)
		}
		if c := w.run(t, w.spec("a", id)); c.ImageID != id {
			t.Errorf("container of an image id: %+v", c)
		}
	})
}

// What a person reads first of an image that is not to be had is the cause.
func TestResolveUnknown(t *testing.T) {
	inEachWorld(t, func(w *world) {
		t := w.T
		ref, _ := w.push(t)
		unknown := strings.TrimSuffix(ref, ":v1") + ":v9"
		_, err := w.Resolve(t.Context(), unknown)
		if err == nil {
			t.Fatal("it is known")
		}
		head, _, _ := strings.Cut(err.Error(), "\n")
		if !strings.HasPrefix(head, unknown+" is neither in its registry (") || !strings.HasSuffix(head, ") nor on this host") || len(head) > 160 {
			t.Errorf("%q", err.Error())
		}
	})
}

// An image that came from a registry is pinned by the digest that other hosts
// can pull, also while the registry is away.
func TestResolveWhileRegistryIsAway(t *testing.T) {
	needDocker(t)
	w := realWorld(t)
	away := false
	inner := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	ref, digest := pushImage(t, w.id, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if away {
			http.Error(rw, "on holiday", http.StatusServiceUnavailable)
			return
		}
		inner.ServeHTTP(rw, r)
	}))
	pinned := strings.TrimSuffix(ref, ":v1") + "@" + digest
	if err := w.Pull(t.Context(), pinned); err != nil {
		t.Fatal(err)
	}
	if err := w.raw.ImageTag(t.Context(), pinned, ref); err != nil {
		t.Fatal(err)
	}
	away = true
	if got, err := w.Resolve(t.Context(), ref); err != nil || got != (docker.Image{Ref: pinned}) {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestImagesThatAreNowhere(t *testing.T) {
	inEachWorld(t, func(w *world) {
		t := w.T
		ctx := t.Context()
		ref, _ := w.push(t)
		repo := strings.TrimSuffix(ref, ":v1")
		_, err := w.Resolve(ctx, repo+":v2")
		if !errors.Is(err, docker.ErrNotFound) || !strings.Contains(err.Error(), "\nthe registry: ") ||
			!strings.Contains(err.Error(), "\nthis host: ") || !strings.Contains(strings.ToLower(err.Error()), "no such image") {
			t.Errorf("unknown tag: %v", err)
		}
		if _, err = w.Resolve(ctx, noDigest); !errors.Is(err, docker.ErrNotFound) {
			t.Errorf("unknown id: %v", err)
		}
		if _, err = w.Resolve(ctx, "Not A Reference"); err == nil {
			t.Error("nonsense is resolved")
		}
		if err = w.Pull(ctx, repo+"@"+noDigest); !errors.Is(err, docker.ErrPull) || !strings.Contains(err.Error(), "manifest unknown") {
			t.Errorf("unknown digest: %v", err)
		}
		if err = w.Pull(ctx, noDigest); !errors.Is(err, docker.ErrPull) || !errors.Is(err, docker.ErrNotFound) {
			t.Errorf("unknown id: %v", err)
		}
		if err = w.Pull(ctx, ref); !errors.Is(err, docker.ErrPull) {
			t.Errorf("a tag is pulled: %v", err)
		}
	})
}

// A registry that dies in the middle of a pull is an error of the stream of
// messages, whose status was 200.
func TestPullThatBreaksOff(t *testing.T) {
	needDocker(t)
	w := realWorld(t)
	inner := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	ref, digest := pushImage(t, w.id, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/") {
			http.Error(rw, "blob is gone", http.StatusNotFound)
			return
		}
		inner.ServeHTTP(rw, r)
	}))
	err := w.Pull(t.Context(), strings.TrimSuffix(ref, ":v1")+"@"+digest)
	if !errors.Is(err, docker.ErrPull) || errors.Is(err, docker.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
}

// Credentials of a config.json open a private registry, for resolve and pull.
func TestPrivateRegistry(t *testing.T) {
	needDocker(t)
	w := realWorld(t)
	inner := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	ref, digest := pushImage(t, w.id, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "ci" || password != "se:cret" {
			rw.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			http.Error(rw, "who are you", http.StatusUnauthorized)
			return
		}
		inner.ServeHTTP(rw, r)
	}), remote.WithAuth(&authn.Basic{Username: "ci", Password: "se:cret"}))
	if got, err := w.Resolve(t.Context(), ref); err == nil {
		t.Fatalf("without credentials: %+v", got)
	}

	config := filepath.Join(t.TempDir(), "config.json")
	host, _, _ := strings.Cut(ref, "/")
	login := base64.StdEncoding.EncodeToString([]byte("ci:se:cret"))
	if err := os.WriteFile(config, fmt.Appendf(nil, `{"auths":{"https://%s/v1/":{"auth":%q}}}`, host, login), 0o600); err != nil {
		t.Fatal(err)
	}
	trusted, err := docker.Open(t.Context(), docker.Config{RegistryConfig: config, Log: logTo(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = trusted.Close() }()
	got, err := trusted.Resolve(t.Context(), ref)
	if err != nil || !strings.HasSuffix(got.Ref, digest) {
		t.Fatalf("with credentials: %+v, %v", got, err)
	}
	if err := trusted.Pull(t.Context(), got.Ref); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(config, []byte("auths: none"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := trusted.Resolve(t.Context(), ref); err == nil || !strings.Contains(err.Error(), config) {
		t.Errorf("a broken file: %v", err)
	}
}

// A host that nothing answers for is no reason to wait for ever, or to hide
// that the image is here.
func TestResolveLocalOfSilentRegistry(t *testing.T) {
	needDocker(t)
	w := realWorld(t)
	silent, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	ref := silent.Addr().String() + "/serin-test-" + w.id + ":v1"
	id := loadImage(t, w.raw, ref, appImage(t, w.id))
	hasty, err := docker.Open(t.Context(), docker.Config{CallTimeout: 5 * time.Second, Log: logTo(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = hasty.Close() }()
	if got, err := hasty.Resolve(t.Context(), ref); err != nil || got != (docker.Image{Ref: id, Local: true}) {
		t.Errorf("got %+v, %v", got, err)
	}
}
