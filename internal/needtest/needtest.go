// Package needtest says what a test needs of the machine.
package needtest

import (
	"os"
	"testing"
)

// Need takes how a test looked for something that `make setup` installs. Where it
// is missing the test is skipped, but not in CI (CI=true), which promises it: there
// it fails.
func Need(tb testing.TB, what string, err error) {
	tb.Helper()
	switch {
	case err == nil:
	case os.Getenv("CI") == "true":
		tb.Fatalf("this test needs %s (`make setup`): %v", what, err)
	default:
		tb.Skipf("SKIPPED: this test needs %s (`make setup`): %v", what, err)
	}
}
