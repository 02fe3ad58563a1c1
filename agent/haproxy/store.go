package haproxy

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/serin-rollouts/serin/internal/durable"
)

// ErrForeignFile means that haproxy.cfg in Config.Dir is not serin's own.
var ErrForeignFile = errors.New("haproxy.cfg is not serin's")

// file is a file that is written whole, and only if its text changed.
type file struct {
	path string
	last []byte
}

// save makes the text durable.
func (f *file) save(text []byte) error {
	if f.last != nil && bytes.Equal(f.last, text) {
		return nil
	}
	if err := durable.Write(f.path, text); err != nil {
		return err
	}
	f.last = bytes.Clone(text)
	return nil
}

// load returns "" if there is no file.
func (f *file) load() (string, error) {
	data, err := os.ReadFile(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	f.last = data
	return string(data), nil
}

// splitFile renders maps/split.map. Every service has a key, weights mode or
// not, since "set map" needs one.
func splitFile(v *view) []byte {
	var out bytes.Buffer
	for _, name := range slices.Sorted(maps.Keys(v.services)) {
		fmt.Fprintf(&out, "%s %s\n", name, v.services[name].split.encode())
	}
	return out.Bytes()
}

// readSplits puts the splits of a split.map into the view. A line that cannot be
// read means no split: the safe side.
func readSplits(v *view, text string) {
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) != 2 {
			continue
		}
		e, ok := v.services[f[0]]
		if !ok {
			continue
		}
		if split, err := parseSplit(f[1]); err == nil {
			e.split = split
			v.services[f[0]] = e
		}
	}
}
