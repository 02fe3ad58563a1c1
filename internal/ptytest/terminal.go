// Package ptytest runs a program of a test on a pseudo-terminal, as a person
// would: it sees what is drawn, and types.
package ptytest

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"
	"github.com/creack/pty"
)

// patience bounds what has to be drawn in the end; test machines are slow and
// shared.
const patience = 3 * time.Minute

// Terminal is a pseudo-terminal with a program on it.
type Terminal struct {
	t       *testing.T
	command *exec.Cmd
	master  *os.File
	ended   chan struct{} // nothing is drawn any more

	mu    sync.Mutex
	drawn []byte
	more  chan struct{} // closed when something has been drawn
	seen  int           // that far Sees has looked
}

// Start runs a command on a terminal of that size. What still runs when the test
// ends is killed.
func Start(t *testing.T, command *exec.Cmd, columns, rows int) *Terminal {
	t.Helper()
	master, err := pty.StartWithSize(command, size(columns, rows))
	if err != nil {
		t.Fatal(err)
	}
	term := &Terminal{t: t, command: command, master: master, ended: make(chan struct{}), more: make(chan struct{})}
	go term.read()
	t.Cleanup(func() {
		_ = command.Process.Kill() // in vain, if it has ended
		_ = master.Close()
		<-term.ended
	})
	return term
}

// Type sends keys, as bytes of a terminal.
func (x *Terminal) Type(keys string) {
	x.t.Helper()
	if _, err := x.master.WriteString(keys); err != nil {
		x.t.Fatal(err)
	}
}

// Resize changes the terminal's size.
func (x *Terminal) Resize(columns, rows int) {
	x.t.Helper()
	if err := pty.Setsize(x.master, size(columns, rows)); err != nil {
		x.t.Fatal(err)
	}
}

// Sees waits until a text has been drawn since it saw one before. A text with
// blanks may be drawn in pieces, as blanks that stand there already are.
func (x *Terminal) Sees(text string) {
	x.t.Helper()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		x.mu.Lock()
		drawn, more := ansi.Strip(string(x.drawn[x.seen:])), x.more
		if strings.Contains(drawn, text) {
			x.seen = len(x.drawn)
			x.mu.Unlock()
			return
		}
		x.mu.Unlock()
		select {
		case <-more:
		case <-x.ended:
			if x.has(text) {
				continue
			}
			x.t.Fatalf("%q was never drawn:\n%s", text, drawn)
		case <-timer.C:
			x.t.Fatalf("%q was not drawn within %s:\n%s", text, patience, drawn)
		}
	}
}

// Raw is all that was drawn so far, with its escape sequences.
func (x *Terminal) Raw() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return string(x.drawn)
}

// Ends waits for the program's end, and returns its exit code.
func (x *Terminal) Ends() int {
	x.t.Helper()
	timer := time.AfterFunc(patience, func() { _ = x.command.Process.Kill() })
	defer timer.Stop()
	err := x.command.Wait()
	<-x.ended
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		if exit.ExitCode() < 0 {
			x.t.Fatalf("%v:\n%s", exit, x.Raw())
		}
		return exit.ExitCode()
	}
	if err != nil {
		x.t.Fatal(err)
	}
	return 0
}

// Private

func (x *Terminal) read() {
	defer close(x.ended)
	chunk := make([]byte, 1<<12)
	for {
		n, err := x.master.Read(chunk)
		x.mu.Lock()
		x.drawn = append(x.drawn, chunk[:n]...)
		close(x.more)
		x.more = make(chan struct{})
		x.mu.Unlock()
		if err != nil {
			return // nobody holds the other end any more
		}
	}
}

func (x *Terminal) has(text string) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return strings.Contains(ansi.Strip(string(x.drawn[x.seen:])), text)
}

func size(columns, rows int) *pty.Winsize {
	return &pty.Winsize{Cols: uint16(columns), Rows: uint16(rows)}
}
