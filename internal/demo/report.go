package demo

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/serin-rollouts/serin/internal/rollout"
)

// report is what the demo came to.
type report struct {
	Good     result    `json:"good"`
	Bad      badResult `json:"bad"`
	Hosts    int       `json:"hosts"`
	Replicas int       `json:"replicas"`
}

// result is about one rollout. Failed counts the requests that got no answer,
// or a 5xx that the app did not itself give.
type result struct {
	Outcome  string  `json:"outcome"`
	Requests int     `json:"requests"`
	Failed   int     `json:"failed"`
	Seconds  float64 `json:"seconds"`
}

// badResult adds what a rollback is measured by.
type badResult struct {
	result

	CanaryErrors   int   `json:"canary_errors"` // bad answers that users got
	DetectMillis   int64 `json:"detect_ms"`     // first bad answer to verdict
	RollbackMillis int64 `json:"rollback_ms"`   // verdict to the last host's weight 0
}

// Private

func (r report) String() string {
	const row = "  %-8s %-11s %9d %7d  %s\n"
	var b strings.Builder
	fmt.Fprintf(&b, "\n%d hosts, %d coordinator replicas\n", r.Hosts, r.Replicas)
	b.WriteString("  rollout  outcome      requests  failed  took\n")
	fmt.Fprintf(&b, row, "v1 → v2", r.Good.Outcome, r.Good.Requests, r.Good.Failed, seconds(r.Good.Seconds))
	fmt.Fprintf(&b, row, "v2 → v3", r.Bad.Outcome, r.Bad.Requests, r.Bad.Failed, seconds(r.Bad.Seconds))
	fmt.Fprintf(&b, "  v3 answered %d requests with an error: %s from the first to the verdict, %d ms from the verdict to weight 0 on the last host\n",
		r.Bad.CanaryErrors, seconds(float64(r.Bad.DetectMillis)/1000), r.Bad.RollbackMillis)
	return b.String()
}

func seconds(s float64) time.Duration {
	return time.Duration(s * float64(time.Second)).Round(100 * time.Millisecond)
}

func (r report) write(path string) error {
	if path == "" {
		return nil
	}
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the report: %w", err)
	}
	if err := os.WriteFile(path, append(data, '\n'), 0o600); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}

// check fails if the demo did not show what it promises.
func (r report) check() error {
	var wrong []error
	if r.Good.Outcome != string(rollout.Succeeded) {
		wrong = append(wrong, fmt.Errorf("the good version ended %s", r.Good.Outcome))
	}
	if r.Bad.Outcome != string(rollout.RolledBack) {
		wrong = append(wrong, fmt.Errorf("the bad version ended %s", r.Bad.Outcome))
	}
	if n := r.Good.Failed + r.Bad.Failed; n > 0 {
		wrong = append(wrong, fmt.Errorf("%d requests failed", n))
	}
	return errors.Join(wrong...)
}
