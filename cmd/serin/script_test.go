package main

import (
	"context"
	"errors"
	"flag"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

var update = flag.Bool("update", false, "rewrite the expected output in testdata/script")

func TestMain(m *testing.M) {
	// Many scripts wait for the end of a timeout, which is far longer than a busy
	// machine stands still.
	if err := flag.Set("test.parallel", "6"); err != nil {
		panic(err)
	}
	testscript.Main(m, map[string]func(){"serin": main})
}

// TestScript runs the scripts in testdata/script: each talks to a bus of its
// own, on which a fake coordinator gives the answers that the script lays down.
//
//	code N serin ...          runs serin, which must exit with N
//	answer SUBJECT FILE...    answers requests on SUBJECT (without serin.v1.), with one file
//	                          after the other, then always with the last
//	ok SUBJECT FILE           answers with the file as an answer's data
//	events FILE               appends events to the stream: one rollout.Event a line
//	lead                      begins to answer
//	requests SUBJECT          prints what has been asked on SUBJECT
//	seen SUBJECT N            waits until it has been asked N times
//	receiver                  begins to take messages over HTTP, at $RECEIVER
//	received                  prints the messages that it has taken, and forgets them
func TestScript(t *testing.T) {
	// Under nohup the scripts' programs would be born deaf to SIGHUP: a signal that is listened to is
	// not ignored any more in what this process starts.
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	t.Cleanup(func() { signal.Stop(hup) }) // after the scripts, which run beside each other
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		UpdateScripts:       *update,
		RequireExplicitExec: true,
		Setup:               func(e *testscript.Env) error { return setUp(t, e) },
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"code":     exitCode,
			"answer":   onFake((*fake).answerCommand),
			"ok":       onFake((*fake).okCommand),
			"events":   onFake((*fake).eventsCommand),
			"lead":     onFake((*fake).leadCommand),
			"requests": onFake((*fake).requestsCommand),
			"seen":     onFake((*fake).seenCommand),
			"receiver": onFake((*fake).receiverCommand),
			"received": onFake((*fake).receivedCommand),
		},
	})
}

func setUp(t *testing.T, e *testscript.Env) error {
	t.Helper()
	f, err := startFake(t.Context(), e.WorkDir+"/.bus")
	if err != nil {
		return err
	}
	e.Defer(func() {
		if err := f.stop(); err != nil {
			t.Errorf("stop fake: %v", err)
		}
	})
	e.Values[fakeKey{}] = f
	docs, err := filepath.Abs("../../docs/examples")
	if err != nil {
		return err
	}
	plan, err := filepath.Abs("../../coordinator/control/testdata/plan.json") // as the coordinator answers, by its own test
	if err != nil {
		return err
	}
	for key, value := range map[string]string{
		"DOCS":         docs,
		"PLAN":         plan,
		"SERIN_SERVER": f.server.URL(), "TZ": "UTC", "USER": "ann", "TERM": "xterm", "GOCOVERDIR": os.TempDir(),
		"GORACE": "atexit_sleep_ms=0", // else each command ends a second later
	} {
		e.Setenv(key, value)
	}
	return nil
}

func onFake(command func(*fake, *testscript.TestScript, []string) error) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		if neg {
			ts.Fatalf("cannot be negated")
		}
		f, ok := ts.Value(fakeKey{}).(*fake)
		if !ok {
			ts.Fatalf("no fake coordinator")
		}
		ts.Check(command(f, ts, args))
	}
}

// exitCode runs a program that has to exit with a certain code.
func exitCode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: code N program [args...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
	if args[1] == "serin" && got != exitOK && ts.ReadFile("stderr") == "" {
		ts.Fatalf("exit code %d without a word on stderr", got)
	}
}

// limited bounds what a fake waits for; test machines are slow and shared.
func limited(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, 10*time.Minute)
}
