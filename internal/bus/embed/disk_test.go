package embed_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"github.com/serin-rollouts/serin/internal/bus/embed"
	"github.com/serin-rollouts/serin/internal/needtest"
)

// ownMounts in the environment names a directory on which this process may mount
// what it likes: nobody else sees it, and it ends with the process.
const ownMounts = "SERIN_TEST_OWN_MOUNTS"

// TestFullDiskIsToldOf: a server gives up a store that it could not write to,
// also when there is room again; it has to be started anew, so it says so.
func TestFullDiskIsToldOf(t *testing.T) {
	dir := os.Getenv(ownMounts)
	if dir == "" {
		inOwnMounts(t)
		return
	}
	if err := errors.Join(syscall.Mount("none", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""),
		syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=8m")); err != nil {
		t.Fatal(err)
	}
	s, err := embed.Start(t.Context(), embed.Config{Name: "c1", Dir: filepath.Join(dir, "nats"), InProcessOnly: true, Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Shutdown() }()
	nc, err := nats.Connect("", nats.InProcessServer(s))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "s", Subjects: []string{"s"}}); err != nil {
		t.Fatal(err)
	}
	fill(t, filepath.Join(dir, "ballast"))
	for range 3 { // the first may find room in a block that is there already
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		_, _ = js.Publish(ctx, "s", make([]byte, 1<<18)) // may be answered, or not
		cancel()
	}
	select {
	case err := <-s.Failed():
		t.Log(err)
	case <-time.After(time.Minute):
		t.Error("the disk is full, and the server says nothing")
	}
}

// fill leaves no room on a disk.
func fill(t *testing.T, path string) {
	t.Helper()
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	for err == nil {
		_, err = file.Write(make([]byte, 1<<12))
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
}

// inOwnMounts runs the test again where it may mount; only root may do that.
func inOwnMounts(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		needtest.Need(t, "root, to mount a small disk", os.ErrPermission)
	}
	command := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^"+t.Name()+"$", "-test.v")
	command.Env = append(os.Environ(), ownMounts+"="+t.TempDir())
	command.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	if out, err := command.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
