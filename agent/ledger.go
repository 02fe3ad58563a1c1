package agent

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"

	"github.com/serin-rollouts/serin/agent/fence"
	"github.com/serin-rollouts/serin/internal/durable"
)

// ledgerFormat is the newest layout of the file that this release writes.
const ledgerFormat = 1

// ErrForeignState means that the state directory belongs to another host, or
// to a newer release.
var ErrForeignState = errors.New("state directory is not ours")

// ledger is the file of what the agent has accepted. It is written before
// anything is done about it, so that nothing older is done after a restart.
type ledger struct {
	path  string
	page  page
	write func(path string, data []byte) error // atomic, and on the disk when it returns
}

// page is the file's content.
type page struct {
	Format   int                   `json:"format"`
	Host     string                `json:"host"`
	Accepted map[string]fence.Page `json:"accepted"`
}

// openLedger reads the file, if there is one, and refuses another host's. A nil
// write is the real disk's.
func openLedger(dir, host string, write func(string, []byte) error) (*ledger, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make state directory: %w", err)
	}
	l := &ledger{
		path: filepath.Join(dir, "accepted.json"), write: write,
		page: page{Format: ledgerFormat, Host: host, Accepted: map[string]fence.Page{}},
	}
	if write == nil {
		l.write = durable.Write
	}
	data, err := os.ReadFile(l.path)
	if errors.Is(err, fs.ErrNotExist) {
		return l, durable.Tidy(l.path) // killed in its first write
	}
	if err != nil {
		return nil, fmt.Errorf("read accepted assignments: %w", err)
	}
	// The format is looked at first: a newer one may have fields that we do
	// not know.
	var head struct {
		Format int    `json:"format"`
		Host   string `json:"host"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return nil, fmt.Errorf("read accepted assignments in %s: %w", l.path, err)
	}
	switch {
	case head.Format > ledgerFormat || head.Format < 1:
		return nil, fmt.Errorf("%w: %s has format %d, this release knows %d: run the newer release", ErrForeignState, l.path, head.Format, ledgerFormat)
	case head.Host != host:
		return nil, fmt.Errorf("%w: %s is that of host %q, this is %q: give each host a directory of its own", ErrForeignState, l.path, head.Host, host)
	}
	strict := json.NewDecoder(bytes.NewReader(data))
	strict.DisallowUnknownFields()
	if err := strict.Decode(&l.page); err != nil {
		return nil, fmt.Errorf("read accepted assignments in %s: %w", l.path, err)
	}
	if l.page.Accepted == nil {
		l.page.Accepted = map[string]fence.Page{}
	}
	return l, durable.Tidy(l.path)
}

// record writes the services' pages through to the disk.
func (l *ledger) record(pages map[string]fence.Page) error {
	next := page{Format: ledgerFormat, Host: l.page.Host, Accepted: make(map[string]fence.Page, len(l.page.Accepted)+len(pages))}
	maps.Copy(next.Accepted, l.page.Accepted)
	maps.Copy(next.Accepted, pages)
	data, err := json.MarshalIndent(next, "", " ")
	if err != nil {
		return fmt.Errorf("encode accepted assignments: %w", err)
	}
	if err := l.write(l.path, append(data, '\n')); err != nil {
		return fmt.Errorf("write accepted assignments: %w", err)
	}
	l.page = next
	return nil
}
