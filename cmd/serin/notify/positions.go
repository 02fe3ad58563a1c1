package notify

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"sync"

	"github.com/serin-rollouts/serin/internal/durable"
)

// Positions are the last events that targets have had, in a file. A nil one
// remembers nothing.
type Positions struct {
	path string

	mu   sync.Mutex
	last map[string]uint64 // by the target's key
}

// OpenPositions reads the file, which need not be there yet.
func OpenPositions(path string) (*Positions, error) {
	p := &Positions{path: path, last: map[string]uint64{}}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return p, p.write(p.last) // now, so that a directory that is missing shows at once
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(text, &p.last); err != nil {
		return nil, fmt.Errorf("%s: is no file of positions: %w; remove it to begin with what happens from now on", path, err)
	}
	if p.last == nil {
		p.last = map[string]uint64{}
	}
	return p, nil
}

// Private

func (p *Positions) of(key string) (seq uint64, known bool) {
	if p == nil {
		return 0, false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	seq, known = p.last[key]
	return seq, known
}

// advance is on the disk when it returns.
func (p *Positions) advance(key string, seq uint64) error {
	if p == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	next := maps.Clone(p.last)
	next[key] = seq
	if err := p.write(next); err != nil {
		return err
	}
	p.last = next
	return nil
}

func (p *Positions) reset(key string) error { return p.advance(key, 0) }

func (p *Positions) write(last map[string]uint64) error {
	text, err := json.Marshal(last)
	if err == nil {
		err = durable.Write(p.path, append(text, '\n'))
	}
	if err != nil {
		return fmt.Errorf("remember positions: %w", err)
	}
	return nil
}
