package replica

import (
	"testing"

	"go.uber.org/goleak"
)

// A closed replica leaves no goroutine behind.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
