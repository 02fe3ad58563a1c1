package record

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// mostLine bounds one line: a report with all of its sketches stays far below.
const mostLine = 16 << 20

// Source gives the entries of a record one after the other, at the end io.EOF. A mistake in what it
// reads is a *LineError.
type Source interface {
	Next() (Entry, error)
}

// Lines reads a record of JSON lines. Empty lines are passed over.
type Lines struct {
	scanner *bufio.Scanner
	line    int
	last    Entry
}

// NewLines reads a record from in.
func NewLines(in io.Reader) *Lines {
	s := bufio.NewScanner(in)
	s.Buffer(make([]byte, 0, 64<<10), mostLine)
	return &Lines{scanner: s}
}

// Next returns the next entry, or io.EOF.
func (l *Lines) Next() (Entry, error) {
	text, err := l.Raw()
	if err != nil {
		return Entry{}, err
	}
	e, err := Decode(text)
	if err == nil && e.At < l.last.At {
		err = fmt.Errorf("at: is before that of line %d; sort the entries by time", l.last.Line)
	}
	if err != nil {
		return Entry{}, &LineError{l.line, err}
	}
	e.Line = l.line
	l.last = Entry{At: e.At, Line: e.Line}
	return e, nil
}

// Raw returns the next line that is not empty, undecoded, until the next call.
func (l *Lines) Raw() ([]byte, error) {
	for l.scanner.Scan() {
		l.line++
		if text := bytes.TrimSpace(l.scanner.Bytes()); len(text) > 0 {
			return text, nil
		}
	}
	switch err := l.scanner.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return nil, &LineError{l.line + 1, fmt.Errorf("is longer than %d bytes", mostLine)}
	case err != nil:
		return nil, fmt.Errorf("read after line %d: %w", l.line, err)
	}
	return nil, io.EOF
}

// Line returns the number of the line that was last returned, from 1.
func (l *Lines) Line() int { return l.line }
