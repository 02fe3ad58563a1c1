package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
)

// input is recorded data: a file, or standard input, which can be read only once.
type input struct {
	*bufio.Reader

	file *os.File // nil: standard input
}

const headSize = 4096

func (z *analyze) open() (*input, error) {
	if z.from == "-" {
		return &input{Reader: bufio.NewReaderSize(z.app.in, headSize)}, nil
	}
	f, err := os.Open(z.from)
	if err != nil {
		return nil, usagef("--from: %v", err)
	}
	return &input{bufio.NewReaderSize(f, headSize), f}, nil
}

// head returns the first bytes; the next read begins with them.
func (i *input) head() []byte {
	head, _ := i.Peek(headSize) // an error comes again at the read
	return head
}

// again begins from the start.
func (i *input) again() error {
	if i.file == nil {
		return errors.New("the log is not in the order of time, and standard input can be read only once; write it to a file, or sort it")
	}
	if _, err := i.file.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("the log is not in the order of time, and cannot be read twice; sort it: %w", err)
	}
	i.Reset(i.file)
	return nil
}

func (i *input) close() {
	if i.file != nil {
		_ = i.file.Close() // it was only read
	}
}
