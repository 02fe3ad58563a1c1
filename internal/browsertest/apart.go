package browsertest

import (
	"context"
	"fmt"
	"io"
	"net"
	"os/exec"
	"runtime"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// apart is a network of the browser's own: a loopback interface and nothing else.
// Chromium ends what it is doing whenever an address of the machine comes or goes,
// and with every container that starts somewhere one does (ERR_NETWORK_CHANGED).
// What the browser asks for in there is asked for out here.
type apart struct {
	calls chan func()
	path  string // of the namespace

	mu   sync.Mutex
	open map[string]net.Listener // by address
}

// newApart makes the network; nil if this process may not, as without root.
func newApart(t *testing.T) *apart {
	t.Helper()
	_, err := exec.LookPath("nsenter")
	if err != nil {
		return nil
	}
	a := &apart{calls: make(chan func()), open: map[string]net.Listener{}}
	made := make(chan error)
	go a.live(made)
	if err := <-made; err != nil {
		t.Logf("the browser shares the machine's network: %v", err)
		return nil
	}
	t.Cleanup(func() {
		close(a.calls)
		a.mu.Lock()
		defer a.mu.Unlock()
		for _, l := range a.open {
			_ = l.Close() // it listens for the test alone
		}
	})
	return a
}

// enter has a command run in there.
func (a *apart) enter(cmd *exec.Cmd) {
	cmd.Args = append([]string{"nsenter", "--net=" + a.path, cmd.Path}, cmd.Args[1:]...)
	cmd.Path, _ = exec.LookPath("nsenter")
}

// reach makes an address of out here answer in there.
func (a *apart) reach(address string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.open[address] != nil {
		return nil
	}
	opened := make(chan error)
	a.calls <- func() {
		l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", address)
		if err == nil {
			a.open[address] = l
			go accept(l, address)
		}
		opened <- err
	}
	return <-opened
}

// Private

// live is the thread that is in there. It ends with the goroutine, and with it the
// namespace, once nothing listens there any more.
func (a *apart) live(made chan<- error) {
	runtime.LockOSThread()
	a.path = fmt.Sprintf("/proc/%d/task/%d/ns/net", unix.Getpid(), unix.Gettid())
	err := unix.Unshare(unix.CLONE_NEWNET)
	if err == nil {
		err = loopbackUp()
	}
	made <- err
	for f := range a.calls {
		f()
	}
}

func loopbackUp() error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(s) }() // nothing was written
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP)
	return unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, lo)
}

func accept(l net.Listener, address string) {
	for {
		inner, err := l.Accept()
		if err != nil {
			return
		}
		go forward(inner, address)
	}
}

// forward copies both ways. It runs on a thread of out here.
func forward(inner net.Conn, address string) {
	outer, err := new(net.Dialer).DialContext(context.Background(), "tcp", address)
	if err != nil {
		_ = inner.Close() // that is the answer
		return
	}
	Join(inner, outer)
}

// Join copies both ways between two connections, until one of them ends, and closes both.
func Join(inner, outer net.Conn) {
	var both sync.WaitGroup
	for to, from := range map[net.Conn]net.Conn{inner: outer, outer: inner} {
		both.Go(func() {
			_, _ = io.Copy(to, from) // either end may go at any time
			_ = inner.Close()
			_ = outer.Close()
		})
	}
	both.Wait()
}
