package main

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestSweep: what a killed run has left is removed, what a run has that goes on
// is not, nor is anything else.
func TestSweep(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	dir := func(name string) string {
		path := filepath.Join(os.TempDir(), name)
		if err := os.MkdirAll(filepath.Join(path, "h1"), 0o700); err != nil {
			t.Fatal(err)
		}
		lock, err := os.Create(filepath.Join(path, lockName))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = lock.Close() })
		if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
			t.Fatal(err)
		}
		if filepath.Base(path) == dirPrefix+"ended" {
			_ = lock.Close()
		}
		return path
	}
	ended, other, goesOn := dir(dirPrefix+"ended"), dir("other"), dir(dirPrefix+"runs")
	young := filepath.Join(os.TempDir(), dirPrefix+"young") // has no lock yet
	if err := os.Mkdir(young, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := sweep(); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]bool{ended: false, other: true, goesOn: true, young: true} {
		if _, err := os.Stat(path); (err == nil) != want {
			t.Errorf("%s: %v, want it to be there: %v", filepath.Base(path), err, want)
		}
	}
}

// TestOptions: what cannot be is named.
func TestOptions(t *testing.T) {
	good := Options{Nemesis: "mix", Versions: everything, For: 1, Hosts: 1, Replicas: 1, Services: 1, Rate: 1}
	for name, harm := range map[string]func(*Options){
		"unknown nemesis": func(o *Options) { o.Nemesis = "typo" },
		"no own bus":      func(o *Options) { o.Nemesis = "nats-kill" },
		"unknown version": func(o *Options) { o.Versions = "dies,typo" },
		"good version":    func(o *Options) { o.Versions = "v1" },
		"named twice":     func(o *Options) { o.Versions = "dies,dies" },
		"no time":         func(o *Options) { o.For = 0 },
		"no hosts":        func(o *Options) { o.Hosts = 0 },
	} {
		o := good
		harm(&o)
		if err := o.Validate(); err == nil {
			t.Errorf("%s: is valid", name)
		}
	}
	if err := good.Validate(); err != nil && missing() == nil {
		t.Errorf("a good one: %v", err)
	}
}
