package demoimage_test

import (
	"archive/tar"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/serin-rollouts/serin/internal/demoimage"
)

const program = `package main

import (
	"fmt"
	"os"
)

func main() { fmt.Println(os.Getenv("GREETING"), os.Args[1:], os.Getuid()) }
`

// buildProgram compiles the program above and returns the binary's path.
func buildProgram(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	source, binary := filepath.Join(dir, "main.go"), filepath.Join(dir, "main")
	if err := os.WriteFile(source, []byte(program), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "build", "-trimpath", "-o", binary, source)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the program: %v\n%s", err, out)
	}
	return binary
}

// serve starts a registry and returns its address; when the test ends it is stopped, and its end awaited.
func serve(t *testing.T, dir string) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- demoimage.Serve(ctx, ln, dir) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return ln.Addr().String()
}

func push(t *testing.T, registry string, app demoimage.App) string {
	t.Helper()
	ref, err := demoimage.Push(t.Context(), registry, app)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

func TestPushMakesAnImageThatCanBeRead(t *testing.T) {
	binary := buildProgram(t)
	dir := t.TempDir()
	registry := serve(t, dir)
	ref := push(t, registry, demoimage.App{
		Name: "demo/app", Tag: "v1", Binary: binary, Args: []string{"-x"}, Port: 8080,
		Env: map[string]string{"B": "2", "A": "1"},
	})
	if !strings.HasPrefix(ref, registry+"/demo/app@sha256:") {
		t.Errorf("reference %s", ref)
	}
	parsed, err := name.NewDigest(ref)
	if err != nil {
		t.Fatal(err)
	}
	img, err := remote.Image(parsed, remote.WithContext(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	file, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"A=1", "B=2"}, file.Config.Env); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"/app", "-x"}, append(file.Config.Entrypoint, file.Config.Cmd...)); diff != "" {
		t.Error(diff)
	}
	if _, ok := file.Config.ExposedPorts["8080/tcp"]; !ok || file.OS != "linux" {
		t.Errorf("os %q, ports %v", file.OS, file.Config.ExposedPorts)
	}
	layer := tar.NewReader(mutate.Extract(img))
	header, err := layer.Next()
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(layer)
	if err != nil || header.Name != "app" || header.Mode != 0o755 || !bytes.Equal(got, want) {
		t.Errorf("layer: file %s, mode %o, %d bytes of %d, %v", header.Name, header.Mode, len(got), len(want), err)
	}
	if blobs, err := os.ReadDir(filepath.Join(dir, "sha256")); err != nil || len(blobs) < 2 {
		t.Errorf("layers on disk: %v, %v", blobs, err)
	}
}

func TestEqualContentHasEqualDigest(t *testing.T) {
	binary := buildProgram(t)
	app := demoimage.App{Name: "app", Tag: "v1", Binary: binary, Env: map[string]string{"A": "1", "B": "2", "C": "3"}}
	_, first, _ := strings.Cut(push(t, serve(t, ""), app), "@")
	app.Tag = "v2"
	if _, second, _ := strings.Cut(push(t, serve(t, ""), app), "@"); second != first {
		t.Errorf("the tag changed the digest: %s, %s", first, second)
	}
	app.Env["C"] = "4"
	if _, third, _ := strings.Cut(push(t, serve(t, ""), app), "@"); third == first {
		t.Errorf("another environment has the same digest %s", first)
	}
}

func TestPushRefuses(t *testing.T) {
	dir := t.TempDir()
	script := filepath.Join(dir, "script")
	if err := os.WriteFile(script, []byte("#!/bin/sh\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		app  demoimage.App
		want string
	}{
		{"no such binary", demoimage.App{Name: "app", Tag: "v1", Binary: filepath.Join(dir, "none")}, "no such file"},
		{"not an executable", demoimage.App{Name: "app", Tag: "v1", Binary: script}, "not a Linux executable"},
		{"dynamic", demoimage.App{Name: "app", Tag: "v1", Binary: "/bin/sh"}, "build it with CGO_ENABLED=0"},
		{"bad name", demoimage.App{Name: "App", Tag: "v1", Binary: script}, "name image App:v1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := demoimage.Push(t.Context(), "127.0.0.1:1", tt.app)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

func TestServeEndsWithItsListener(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	if err := demoimage.Serve(t.Context(), ln, ""); err == nil || !strings.Contains(err.Error(), "serve image registry") {
		t.Errorf("error %v", err)
	}
}

func TestServeClosesItsListener(t *testing.T) {
	var address string
	t.Run("serving", func(t *testing.T) {
		address = serve(t, "")
		resp, err := http.Get("http://" + address + "/v2/")
		if err != nil {
			t.Fatal(err)
		}
		if err := resp.Body.Close(); err != nil || resp.StatusCode != http.StatusOK {
			t.Errorf("status %d, %v", resp.StatusCode, err)
		}
	})
	if conn, err := net.Dial("tcp", address); err == nil {
		t.Error("still listening after Serve has returned")
		_ = conn.Close()
	}
}
