package docker

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strconv"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/stdcopy"
)

const (
	maxLogLines = 10_000
	maxLogLine  = 16 << 10 // bytes; longer lines are cut
)

// Logs returns the last lines (at most 10,000, each cut at 16 KiB) that a
// container wrote to its standard output and error, oldest first.
func (e *Engine) Logs(ctx context.Context, id string, lines int) ([]string, error) {
	if lines <= 0 {
		return nil, nil
	}
	raw, err := e.inspectRaw(ctx, id)
	if err != nil {
		return nil, err
	}
	tail := &tail{keep: min(lines, maxLogLines)}
	err = e.call(ctx, e.cfg.CallTimeout, "read the logs of container "+id, func(ctx context.Context, s *session) error {
		from, err := s.ContainerLogs(ctx, id, container.LogsOptions{
			ShowStdout: true, ShowStderr: true, Tail: strconv.Itoa(tail.keep),
		})
		if err != nil {
			return err
		}
		if raw.Config.Tty { // one stream, not multiplexed
			_, err = io.Copy(tail, from)
		} else {
			_, err = stdcopy.StdCopy(tail, tail, from)
		}
		return errors.Join(err, from.Close())
	})
	return tail.done(), err
}

// Private

// tail keeps the last lines of what is written to it.
type tail struct {
	keep  int
	lines []string
	part  []byte // the line that has not ended yet, cut at maxLogLine
}

func (t *tail) Write(p []byte) (int, error) {
	n := len(p)
	for {
		line, rest, ended := bytes.Cut(p, []byte{'\n'})
		room := min(len(line), maxLogLine-len(t.part))
		t.part = append(t.part, line[:room]...)
		if !ended {
			return n, nil
		}
		t.push()
		p = rest
	}
}

func (t *tail) push() {
	if len(t.lines) == t.keep {
		t.lines = append(t.lines[:0], t.lines[1:]...)
	}
	t.lines = append(t.lines, string(bytes.TrimSuffix(t.part, []byte{'\r'})))
	t.part = t.part[:0]
}

func (t *tail) done() []string {
	if len(t.part) > 0 {
		t.push()
	}
	return t.lines
}
