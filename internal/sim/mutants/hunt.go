package mutants

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/serin-rollouts/serin/internal/sim"
)

// Hunt says how long to look for each fault.
type Hunt struct {
	Root  string // of the module
	Dir   string // for what is built
	Seeds int    // at most
}

// Result is what became of one fault.
type Result struct {
	sim.Finding

	Mutant      Mutant
	Built, Took time.Duration
}

// Found reports whether the simulator saw the fault, by a promise that is
// expected.
func (r Result) Found() bool {
	return r.Invariant != "" && (len(r.Mutant.Expect) == 0 || slices.Contains(r.Mutant.Expect, r.Invariant))
}

// Run builds the simulator over a core with the fault in it, and lets it look.
func (h Hunt) Run(ctx context.Context, m Mutant) (Result, error) {
	result := Result{Mutant: m}
	text, err := m.Plant(h.Root)
	if err != nil {
		return result, err
	}
	began := time.Now()
	binary, err := h.build(ctx, m, text)
	if err != nil {
		return result, err
	}
	defer func() { _ = os.Remove(binary) }() // it is in a directory that goes anyway
	result.Built = time.Since(began)
	began = time.Now()
	said, err := exec.CommandContext(ctx, binary, "-json", "-seeds", strconv.Itoa(h.Seeds)).Output() //nolint:gosec // our own
	result.Took = time.Since(began)
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && len(said) > 0 && exit.ExitCode() == 1 {
		err = nil // a broken promise is what is looked for
	}
	if err == nil {
		err = json.Unmarshal(said, &result.Finding)
	}
	if err != nil {
		return result, fmt.Errorf("hunt %q: %w", m.Name, err)
	}
	return result, nil
}

// Table renders results for the documentation.
func Table(results []Result) string {
	var b strings.Builder
	b.WriteString("| planted fault | in | broken promise | seeds | seconds |\n|---|---|---|---:|---:|\n")
	for _, r := range results {
		found := r.Invariant
		if found == "" {
			found = "**none**"
		}
		fmt.Fprintf(&b, "| %s | `%s` | %s | %d | %.1f |\n", r.Mutant.Name, r.Mutant.File, found, r.Seeds, r.Took.Seconds())
	}
	return b.String()
}

// The marks between which the table stands in a page.
const (
	tableBegins = "<!-- mutants: begin -->\n"
	tableEnds   = "<!-- mutants: end -->"
)

// WriteTable puts the table into a page, between its marks.
func WriteTable(path string, results []Result) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("write the table: %w", err)
	}
	before, rest, begun := strings.Cut(string(data), tableBegins)
	_, after, ended := strings.Cut(rest, tableEnds)
	if !begun || !ended {
		return fmt.Errorf("write the table: %s lacks %q or %q", path, strings.TrimSpace(tableBegins), tableEnds)
	}
	page := before + tableBegins + Table(results) + tableEnds + after
	if err := os.WriteFile(path, []byte(page), 0o644); err != nil { //nolint:gosec // documentation is for all
		return fmt.Errorf("write the table: %w", err)
	}
	return nil
}

// Private

func (h Hunt) build(ctx context.Context, m Mutant, text string) (string, error) {
	planted, overlay := filepath.Join(h.Dir, "planted.go"), filepath.Join(h.Dir, "overlay.json")
	list, err := json.Marshal(map[string]map[string]string{"Replace": {filepath.Join(h.Root, m.File): planted}})
	if err == nil {
		err = os.WriteFile(planted, []byte(text), 0o600)
	}
	if err == nil {
		err = os.WriteFile(overlay, list, 0o600)
	}
	if err != nil {
		return "", fmt.Errorf("plant %q: %w", m.Name, err)
	}
	binary := filepath.Join(h.Dir, "sim")
	build := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-overlay", overlay, "-o", binary, "./chaos/sim") //nolint:gosec // our own
	build.Dir = h.Root
	if said, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %q: %w\n%s", m.Name, err, said)
	}
	return binary, nil
}
