package hooks

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/rs/zerolog"

	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/needtest"
	"github.com/serin-rollouts/serin/internal/porttest"
)

// long is the patience of the test with a real process.
const long = 3 * time.Minute

// TestRegistry: a push to the real distribution registry, which is set up as
// docs/hooks.md says, is a trigger for what was pushed.
func TestRegistry(t *testing.T) {
	heard := make(chan api.Trigger, 10)
	h := New(t.Context(), rules(t, `secret_file: DIR/secret
rules: [{repository: "127.*/team/checkout", tag: "v*", service: checkout}]
`), telling(heard), zerolog.Nop())
	mux := http.NewServeMux()
	for pattern, handler := range h.Routes() {
		mux.Handle(pattern, handler)
	}
	server := httptest.NewServer(mux)
	defer server.Close()
	address := startRegistry(t, server.URL)

	for _, tag := range []string{"latest", "v1"} { // the first is not for the rule
		image, err := random.Image(1000, 2)
		if err != nil {
			t.Fatal(err)
		}
		ref, err := name.ParseReference(address+"/team/checkout:"+tag, name.Insecure)
		if err != nil {
			t.Fatal(err)
		}
		if err := remote.Write(ref, image, remote.WithContext(t.Context())); err != nil {
			t.Fatal(err)
		}
		if tag == "latest" {
			continue
		}
		digest, err := image.Digest()
		if err != nil {
			t.Fatal(err)
		}
		select {
		case got := <-heard:
			if want := ref.Name() + "@" + digest.String(); got.Image != want {
				t.Errorf("triggers %s, want %s", got.Image, want)
			}
		case <-time.After(long):
			t.Fatal("the registry told nothing")
		}
	}
}

// telling hands triggers on.
func telling(to chan<- api.Trigger) Trigger {
	l := &leader{}
	l.say = func(n int) (api.Reply, error) {
		to <- l.asked[n-1]
		return api.Reply{OK: true}, nil
	}
	return l.trigger
}

// startRegistry runs Debian's registry, until the test ends, and returns its
// address.
func startRegistry(t *testing.T, hooks string) string {
	t.Helper()
	script := exec.CommandContext(t.Context(), filepath.Join("..", "..", "internal", "tools", "debian.sh"), "docker-registry")
	script.Stderr = t.Output()
	program, err := script.Output()
	needtest.Need(t, "a registry", err)
	dir, address := t.TempDir(), porttest.Address(t)
	config := filepath.Join(dir, "config.yml")
	text := fmt.Sprintf(`version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: %s}}
http: {addr: %s}
notifications:
  endpoints:
    - name: serin
      url: %s/hooks/distribution
      headers: {Authorization: ["Bearer %s"]}
      timeout: 30s
      threshold: 10
      backoff: 1s
`, dir, address, hooks, secret)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	registry := exec.Command(strings.TrimSpace(string(program)), "serve", config)
	registry.Env = append(os.Environ(), "OTEL_TRACES_EXPORTER=none")
	registry.Stdout, registry.Stderr = t.Output(), t.Output()
	if err := registry.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = registry.Process.Kill()
		_ = registry.Wait()
	})
	for deadline := time.Now().Add(long); ; {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", address)
		if err == nil {
			_ = conn.Close()
			return address
		}
		if time.Now().After(deadline) {
			t.Fatalf("the registry does not listen: %v", err)
		}
		<-time.After(50 * time.Millisecond)
	}
}
