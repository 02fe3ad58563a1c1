package identity_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/serin-rollouts/serin/internal/identity"
	"github.com/serin-rollouts/serin/internal/identity/identitytest"
)

func TestValidateNamesWhatIsMissing(t *testing.T) {
	for _, c := range []struct {
		files identity.Files
		want  string
	}{
		{identity.Files{}, ""},
		{identity.Files{CA: "a", Cert: "b", Key: "c"}, ""},
		{identity.Files{CA: "a", Cert: "b"}, "missing key"},
		{identity.Files{Cert: "b"}, "missing ca and key"},
		{identity.Files{Key: "c"}, "missing ca and cert"},
	} {
		err := c.files.Validate()
		if c.want == "" {
			if err != nil {
				t.Errorf("%+v: %v", c.files, err)
			}
			continue
		}
		if !errors.Is(err, identity.ErrIncomplete) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: got %v, want ErrIncomplete with %q", c.files, err, c.want)
		}
	}
}

func TestConfigOfNoFilesIsPlainText(t *testing.T) {
	cfg, err := identity.Files{}.Config()
	if cfg != nil || err != nil {
		t.Fatalf("got %v, %v", cfg, err)
	}
}

func TestConfigRefusesBadFiles(t *testing.T) {
	ca := identitytest.New(t)
	good, other := ca.Leaf(t, "good"), ca.Leaf(t, "other")
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, files := range map[string]identity.Files{
		"missing ca":     {CA: good.CA + ".gone", Cert: good.Cert, Key: good.Key},
		"empty ca":       {CA: empty, Cert: good.Cert, Key: good.Key},
		"missing cert":   {CA: good.CA, Cert: good.Cert + ".gone", Key: good.Key},
		"key of another": {CA: good.CA, Cert: good.Cert, Key: other.Key},
	} {
		if _, err := files.Config(); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestBothSidesVerifyEachOther(t *testing.T) {
	ours, theirs := identitytest.New(t), identitytest.New(t)
	server, client := config(t, ours.Leaf(t, "server")), config(t, ours.Leaf(t, "client"))
	name, err := handshake(t, server, client)
	if err != nil || name != "client" {
		t.Fatalf("server saw %q, %v", name, err)
	}

	noCert := client.Clone()
	noCert.GetClientCertificate = nil
	tls12 := client.Clone()
	tls12.MinVersion, tls12.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	for what, c := range map[string]*tls.Config{
		"no certificate":    noCert,
		"another authority": config(t, theirs.Leaf(t, "client")),
		"tls 1.2":           tls12,
	} {
		if _, err := handshake(t, server, c); err == nil {
			t.Errorf("%s: accepted", what)
		}
	}
	wrongHost := config(t, ours.Leaf(t, "elsewhere", "elsewhere.example"))
	if _, err := handshake(t, wrongHost, client); err == nil {
		t.Error("a server of another name: accepted")
	}
}

func TestRotatedCertificateIsServedWithoutRestart(t *testing.T) {
	ca := identitytest.New(t)
	files := ca.Leaf(t, "client")
	server, client := config(t, ca.Leaf(t, "server")), config(t, files)

	next := ca.Leaf(t, "next")
	later := time.Now().Add(time.Minute)
	replace(t, next.Cert, files.Cert, later)
	if name, err := handshake(t, server, client); err != nil || name != "client" {
		t.Fatalf("half a rotation: server saw %q, %v", name, err)
	}
	replace(t, next.Key, files.Key, later)
	if name, err := handshake(t, server, client); err != nil || name != "next" {
		t.Fatalf("after the rotation: server saw %q, %v", name, err)
	}
}

func config(t *testing.T, files identity.Files) *tls.Config {
	t.Helper()
	cfg, err := files.Config()
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// replace moves a file and sets its time, since a test is faster than the
// resolution of some file systems.
func replace(t *testing.T, from, to string, at time.Time) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(to, at, at); err != nil {
		t.Fatal(err)
	}
}

// handshake returns the name that the server saw in the client's certificate.
func handshake(t *testing.T, serverCfg, clientCfg *tls.Config) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	a, b := net.Pipe()
	defer hangUp(t, a)
	defer hangUp(t, b)
	clientCfg = clientCfg.Clone()
	clientCfg.ServerName = "localhost"

	clientErr := make(chan error, 1)
	go func() {
		c := tls.Client(b, clientCfg)
		err := c.HandshakeContext(ctx)
		if err == nil {
			_, err = io.ReadFull(c, make([]byte, 1)) // in TLS 1.3 the refusal comes after the handshake
		}
		hangUp(t, b)
		clientErr <- err
	}()
	s := tls.Server(a, serverCfg)
	err := s.HandshakeContext(ctx)
	if err == nil {
		_, err = s.Write([]byte{1})
	}
	hangUp(t, a)
	if err = errors.Join(err, <-clientErr); err != nil {
		return "", err
	}
	return s.ConnectionState().PeerCertificates[0].Subject.CommonName, nil
}

func hangUp(t *testing.T, c net.Conn) {
	t.Helper()
	if err := c.Close(); err != nil {
		t.Errorf("close pipe: %v", err)
	}
}
