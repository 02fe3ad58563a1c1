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

// numberOf numbers this run; see nextRun.
func numberOf(cfg Config) uint64 {
	number, err := nextRun(cfg.DataDir, time.Now())
	if err != nil {
		cfg.Log.Warn().Err(err).Msg("the next run may not come after this one, if the clock is set back")
	}
	return number
}

// nextRun numbers this run, so that a report of the run before that was overtaken on its way is known
// for what it is. The number is higher than the last one and no lower than Unix time: who loses the
// directory keeps the order if the clock is right. It has a file of its own, which releases that do not
// count leave alone. Beside an error there is a number all the same, by the clock alone if need be: a disk
// that is full keeps no agent from its host.
func nextRun(dir string, now time.Time) (uint64, error) {
	path := filepath.Join(dir, runFile)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	last, _ := strconv.ParseUint(strings.TrimSpace(string(data)), 10, 63) // what is none is lost
	run := max(last+1, uint64(max(0, now.Unix())))
	if err == nil {
		err = durable.Write(path, strconv.AppendUint(nil, run, 10))
	}
	if err == nil {
		err = durable.Tidy(path)
	}
	if err != nil {
		err = fmt.Errorf("number of this run: %w", err)
	}
	return run, err
}
