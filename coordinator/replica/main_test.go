package replica

import (
	"testing"
	"time"

	"go.uber.org/goleak"
)

// A closed replica leaves no goroutine behind.
func TestMain(m *testing.M) { goleak.VerifyTestMain(patient{m}) }

// patient gives goroutines time to end on a busy machine, before they count as
// left behind.
type patient struct{ *testing.M }

// Run runs the tests.
func (p patient) Run() int {
	code := p.M.Run()
	for end := time.Now().Add(patience); goleak.Find() != nil && time.Now().Before(end); {
		time.Sleep(100 * time.Millisecond)
	}
	return code
}
