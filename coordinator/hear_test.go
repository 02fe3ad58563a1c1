package coordinator

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/serin-rollouts/serin/internal/porttest"
)

const hubPush = `{"push_data": {"pushed_at": %d, "tag": "1.4.0"}, "repository": {"repo_name": "example/checkout"}}`

// What a registry tells over HTTP comes to the leader, who decides.
func TestHearsPushes(t *testing.T) {
	if testing.Short() {
		t.Skip("runs in real time")
	}
	dir := t.TempDir()
	for name, text := range map[string]string{
		"secret":     "correct-horse-battery",
		"hooks.yaml": "secret_file: " + filepath.Join(dir, "secret") + "\nrules: [{repository: docker.io/example/checkout, service: checkout}]\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	address, raft := porttest.Address(t), porttest.Address(t)
	cfg := Config{
		ID: "c1", Data: filepath.Join(dir, "c1"), HTTP: address, Log: testLog(), Hooks: filepath.Join(dir, "hooks.yaml"),
		NATS: NATS{Embed: true, Listen: porttest.Address(t)}, Raft: Raft{Listen: raft, Peers: []string{"c1=" + raft}},
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, cfg) }()
	defer func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	awaitPage(t, "http://"+address+"/readyz", "ok")
	hook := "http://" + address + "/hooks/dockerhub?secret="
	if code, said := post(t, hook+"guess", fmt.Sprintf(hubPush, 1)); code != http.StatusUnauthorized {
		t.Errorf("with a wrong secret: %d %s", code, said)
	}
	// Each push is another trigger; how soon the leader answers is not the sender's to say.
	for push := 2; ; push++ {
		code, said := post(t, hook+"correct-horse-battery", fmt.Sprintf(hubPush, push))
		if code == http.StatusOK && strings.Contains(said, `"ok":false`) && strings.Contains(said, "checkout") {
			break
		}
		if code != http.StatusAccepted {
			t.Fatalf("with the secret: %d %s", code, said)
		}
	}

	wrong := cfg
	wrong.HTTP = ""
	if err := wrong.Validate(); err == nil || !strings.Contains(err.Error(), "http.listen") {
		t.Errorf("hooks without HTTP: %v", err)
	}
	wrong = cfg
	wrong.Hooks = filepath.Join(dir, "none.yaml")
	if err := wrong.Validate(); err == nil || !strings.Contains(err.Error(), "none.yaml") {
		t.Errorf("hooks without a file: %v", err)
	}
}

func post(t *testing.T, url, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	said, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(said)
}
