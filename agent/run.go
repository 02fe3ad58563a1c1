package agent

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/serin-rollouts/serin/internal/durable"
)

// runFile holds the number of the agent's last run.
const runFile = "run"

// openState reads what was accepted, and numbers this run.
func openState(dir, host string, write func(string, []byte) error) (book *ledger, run uint64, err error) {
	if book, err = openLedger(dir, host, write); err != nil {
		return nil, 0, err
	}
	run, err = nextRun(dir, time.Now())
	return book, run, err
}

// nextRun numbers this run, so that a report of the run before that was overtaken on its way is known
// for what it is. The number is higher than the last one and no lower than Unix time: who loses the
// directory keeps the order if the clock is right. It has a file of its own, which releases that do not
// count leave alone.
func nextRun(dir string, now time.Time) (uint64, error) {
	path := filepath.Join(dir, runFile)
	data, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, fmt.Errorf("read the number of the last run: %w", err)
	}
	last, _ := strconv.ParseUint(strings.TrimSpace(string(data)), 10, 63) // what is none is lost
	run := max(last+1, uint64(max(0, now.Unix())))
	if err := durable.Write(path, strconv.AppendUint(nil, run, 10)); err != nil {
		return 0, fmt.Errorf("write the number of this run: %w", err)
	}
	return run, durable.Tidy(path)
}
