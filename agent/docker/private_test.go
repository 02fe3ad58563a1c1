package docker

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/events"
	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"
	"pgregory.net/rapid"
)

func TestEnvFile(t *testing.T) {
	t.Setenv("SERIN_TEST_SET", "from outside")
	for name, test := range map[string]struct {
		file string
		want map[string]string
		says string
	}{
		"plain":            {file: "A=1\nB=two words\n", want: map[string]string{"A": "1", "B": "two words"}},
		"quotes stay":      {file: `A="x"` + "\nB='y'", want: map[string]string{"A": `"x"`, "B": "'y'"}},
		"blanks stay":      {file: "A= x \n", want: map[string]string{"A": " x "}},
		"equal signs stay": {file: "A=b=c", want: map[string]string{"A": "b=c"}},
		"comments":         {file: "# no\n\n  # no\n \t\n A=1#yes\n", want: map[string]string{"A": "1#yes"}},
		"empty value":      {file: "A=\n", want: map[string]string{"A": ""}},
		"the last wins":    {file: "A=1\nA=2\n", want: map[string]string{"A": "2"}},
		"from outside":     {file: "SERIN_TEST_SET\nSERIN_TEST_UNSET\n", want: map[string]string{"SERIN_TEST_SET": "from outside"}},
		"Windows":          {file: "\xef\xbb\xbfA=1\r\nB=2\r\n", want: map[string]string{"A": "1", "B": "2"}},
		"long":             {file: "A=" + strings.Repeat("x", 200_000), want: map[string]string{"A": strings.Repeat("x", 200_000)}},
		"blank in name":    {file: "A=1\nB C=secret\n", says: "line 2: the variable's name"},
		"no name":          {file: "=secret", says: "line 1: no variable name"},
		"not UTF-8":        {file: "A=1\nB=\xff\xfe\n", says: "line 2: not valid UTF-8"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "env")
			if err := os.WriteFile(path, []byte(test.file), 0o600); err != nil {
				t.Fatal(err)
			}
			got, err := readEnvFile(path)
			if test.says != "" {
				if err == nil || !strings.Contains(err.Error(), test.says) || strings.Contains(err.Error(), "secret") {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// However the bytes arrive, the tail is the last lines of them.
func TestTail(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lines := rapid.SliceOf(rapid.StringMatching(`[a-z ]{0,9}`)).Draw(t, "lines")
		keep := rapid.IntRange(1, 12).Draw(t, "keep")
		text := strings.Join(lines, "\n")
		tail := &tail{keep: keep}
		for rest := text; rest != ""; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "n")
			if _, err := tail.Write([]byte(rest[:n])); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		want := lines
		if len(want) > 0 && want[len(want)-1] == "" { // ends in a newline
			want = want[:len(want)-1]
		}
		want = want[max(0, len(want)-keep):]
		if diff := cmp.Diff(strings.Join(want, "\n"), strings.Join(tail.done(), "\n")); diff != "" {
			t.Error(diff)
		}
	})
	long := &tail{keep: 1}
	_, _ = long.Write([]byte(strings.Repeat("x", 3*maxLogLine) + "\n"))
	if n := len(long.done()[0]); n != maxLogLine {
		t.Errorf("a long line is %d bytes", n)
	}
}

// An event is known again as long as the daemon may replay it, and only by
// what it is: after the wall clock was set back, new events bear older times
// than those before, and are delivered.
func TestDuplicateEvents(t *testing.T) {
	var got []int64
	w := &watch{
		engine:  &Engine{cfg: Config{Log: zerolog.Nop()}},
		seen:    map[eventKey]bool{},
		deliver: func(e Event) { got = append(got, e.At.UnixNano()) },
	}
	message := func(nano int64) events.Message {
		return events.Message{Action: "die", Actor: events.Actor{ID: "a"}, TimeNano: nano}
	}
	for nano := int64(1000); nano < 1000+2*remembered; nano++ {
		w.take(message(nano))
		w.take(message(nano))
		w.take(message(nano - 100)) // replayed
	}
	if len(got) != 2*remembered+100 {
		t.Errorf("%d delivered", len(got))
	}
	got = nil
	w.take(message(7))
	if len(got) != 1 || w.since.UnixNano() != 7 {
		t.Errorf("after the clock was set back: %v, resumes at %d", got, w.since.UnixNano())
	}
	if len(w.seen) != remembered || len(w.order) != remembered {
		t.Errorf("%d and %d remembered", len(w.seen), len(w.order))
	}
}
