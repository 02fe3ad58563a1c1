package needtest_test

import (
	"errors"
	"fmt"
	"runtime"
	"testing"

	"github.com/serin-rollouts/serin/internal/needtest"
)

// recorder is a test that says how it ended.
type recorder struct {
	testing.TB

	said string
}

func (r *recorder) Helper() {}

func (r *recorder) Fatalf(format string, args ...any) { r.end("failed: "+format, args...) }
func (r *recorder) Skipf(format string, args ...any)  { r.end("skipped: "+format, args...) }

func (r *recorder) end(format string, args ...any) {
	r.said = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

// TestNeed: what is missing in CI is a failure.
func TestNeed(t *testing.T) {
	gone := errors.New("nobody answers")
	for _, c := range []struct {
		ci   string
		err  error
		want string
	}{
		{"true", gone, "failed: this test needs Docker (`make setup`): nobody answers"},
		{"", gone, "skipped: SKIPPED: this test needs Docker (`make setup`): nobody answers"},
		{"true", nil, ""},
		{"", nil, ""},
	} {
		t.Setenv("CI", c.ci)
		r, ended := &recorder{TB: t}, make(chan struct{})
		go func() {
			defer close(ended)
			needtest.Need(r, "Docker", c.err)
		}()
		<-ended
		if r.said != c.want {
			t.Errorf("CI=%q, %v: %q, want %q", c.ci, c.err, r.said, c.want)
		}
	}
}
