package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/serin-rollouts/serin/chaos/cell"
	"github.com/serin-rollouts/serin/chaos/check"
	"github.com/serin-rollouts/serin/internal/needtest"
)

// ground is what the tests of this package run on; they run in namespaces.
var ground Ground

// unable is why this machine cannot run them.
var unable error

func TestMain(m *testing.M) {
	cell.Init()
	flag.Parse()
	os.Exit(enclosed(m))
}

// enclosed runs the tests in namespaces, if there can be any.
func enclosed(m *testing.M) int {
	if unable = missing(); unable != nil {
		return m.Run()
	}
	g, inside, code, err := enclose(context.Background(), "", os.Getenv("SERIN_TEST_LOGS"))
	switch {
	case err != nil && os.Getenv("CI") != "true" && os.Getenv(dirVariable) == "":
		unable = err
		return m.Run()
	case err != nil:
		fmt.Fprintln(os.Stderr, err)
		return 1
	case !inside:
		return code
	}
	ground = g
	return m.Run()
}

// needGround skips where there are no namespaces, but not in CI.
func needGround(t *testing.T) {
	t.Helper()
	needtest.Need(t, "namespaces, Docker and HAProxy", unable)
}

// TestMix is a short run with some of everything: no promise is broken.
// SERIN_CHAOS_SEED repeats the choices of an earlier run, which are in its log.
func TestMix(t *testing.T) {
	needGround(t)
	seed := uint64(time.Now().UnixNano()) % 1e9
	if text := os.Getenv("SERIN_CHAOS_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("SERIN_CHAOS_SEED: %v", err)
		}
	}
	t.Logf("SERIN_CHAOS_SEED=%d", seed)
	o := Options{
		Nemesis: "agent-kill,leader-kill,agent-kill,agent-cut,agent-kill,dockerd-kill,raft-disk-full,haproxy-kill", Versions: everything, Seed: seed, For: 30 * time.Second,
		Hosts: 2, Replicas: 3, Services: 1, Rate: 40, Calm: 2 * time.Second, Ground: ground, Say: t.Logf,
	}
	if err := o.Validate(); err != nil {
		t.Fatal(err)
	}
	record, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	report := NewReport(record, check.Record(record))
	t.Log(report.Text())
	for _, v := range report.Violations {
		t.Error(v)
	}
	if len(record.Faults) == 0 || len(record.Requests) == 0 || len(record.End.Events) == 0 {
		t.Errorf("%d faults, %d requests, %d events: the run shows nothing", len(record.Faults), len(record.Requests), len(record.End.Events))
	}
}
