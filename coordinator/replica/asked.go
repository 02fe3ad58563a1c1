package replica

import "sync"

// asked counts the questions to Raft that have no answer yet. Raft answers each
// while it runs, if only with the loss of its leadership, but none of those
// that are open when it ends.
type asked struct {
	mu     sync.Mutex
	open   int
	closed bool
	idle   chan struct{} // closed when no more come and none is open
}

func newAsked() *asked { return &asked{idle: make(chan struct{})} }

// begin reports false when no more may be asked.
func (a *asked) begin() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return false
	}
	a.open++
	return true
}

// end is called once for each begin that was true.
func (a *asked) end() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.open--
	if a.closed && a.open == 0 {
		close(a.idle)
	}
}

// close refuses all further questions. The channel is closed when those before
// are answered. It is called once.
func (a *asked) close() <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed = true
	if a.open == 0 {
		close(a.idle)
	}
	return a.idle
}
