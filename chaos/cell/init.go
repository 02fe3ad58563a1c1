package cell

import (
	"errors"
	"fmt"
	"net"
	"net/rpc"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
)

// How the init learns what its cell is.
const (
	nameVariable    = "SERIN_CHAOS_NAME"
	addressVariable = "SERIN_CHAOS_ADDRESS"
)

// Init is the first call of a program that makes cells. In a cell's first
// process it does not return.
func Init() {
	switch os.Getenv(roleVariable) {
	case roleInit:
		fmt.Fprintln(os.Stderr, runInit())
		os.Exit(1)
	case roleWatched:
		fmt.Fprintln(os.Stderr, runWatched())
		os.Exit(1)
	}
}

// Private

// keeper is the service that the init offers to the cell's maker.
type keeper struct {
	mu      sync.Mutex // held while a process is started, so that its end is not missed
	ended   map[int]chan Exit
	wardens map[int]*warden
}

// SignalTo is a signal to a process of the cell, by its number in it.
type SignalTo struct {
	Pid    int
	Signal syscall.Signal
}

// runInit makes the cell a host, and serves its maker until that has gone.
func runInit() error {
	syscall.CloseOnExec(firstFile)
	if err := syscall.Sethostname([]byte(os.Getenv(nameVariable))); err != nil {
		return fmt.Errorf("name the host: %w", err)
	}
	if err := ownMounts(); err != nil {
		return err
	}
	// Daemons keep sockets, locks and pids there, each host its own.
	if err := syscall.Mount("tmpfs", "/run", "tmpfs", 0, "mode=755"); err != nil {
		return fmt.Errorf("mount /run: %w", err)
	}
	wire, err := Join(os.Getenv(addressVariable))
	if err == nil {
		err = errors.Join(links("lo"), sendFile(firstFile, wire))
	}
	if err != nil {
		return err
	}
	_ = wire.Close()
	conn, err := net.FileConn(os.NewFile(firstFile, "maker"))
	if err != nil {
		return fmt.Errorf("speak with the cell's maker: %w", err)
	}
	k := &keeper{ended: map[int]chan Exit{}, wardens: map[int]*warden{}}
	go k.reap()
	server := rpc.NewServer()
	if err := server.RegisterName("Init", k); err != nil {
		return fmt.Errorf("serve the cell's maker: %w", err)
	}
	server.ServeConn(conn)
	return errors.New("the cell's maker has gone")
}

// Start starts a program and returns its number.
func (k *keeper) Start(p Program, pid *int) error {
	log, err := os.OpenFile(p.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	env := []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root"}
	attributes := syscall.ProcAttr{
		Env: env, Files: []uintptr{uintptr(syscall.Stdin), log.Fd(), log.Fd()}, Sys: &syscall.SysProcAttr{Setsid: true},
	}
	if p.Watched {
		return k.startWatched(p, &attributes, pid)
	}
	*pid, err = k.fork(p.Args[0], p.Args, &attributes)
	return err
}

// startWatched starts a program about whose syncs the kernel asks.
func (k *keeper) startWatched(p Program, attributes *syscall.ProcAttr, pid *int) error {
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = syscall.Close(pair[0]) }()
	attributes.Env = append(attributes.Env, roleVariable+"="+roleWatched)
	attributes.Files = append(attributes.Files, uintptr(pair[1]))
	const self = "/proc/self/exe"
	*pid, err = k.fork(self, append([]string{self}, p.Args...), attributes)
	_ = syscall.Close(pair[1])
	if err != nil {
		return err
	}
	listener, err := receiveFile(pair[0], "listener")
	if err != nil {
		return err
	}
	w := &warden{file: listener}
	k.mu.Lock()
	k.wardens[*pid] = w
	k.mu.Unlock()
	go w.serve()
	return nil
}

func (k *keeper) fork(program string, args []string, attributes *syscall.ProcAttr) (pid int, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if pid, err = syscall.ForkExec(program, args, attributes); err == nil {
		k.ended[pid] = make(chan Exit, 1)
	}
	return pid, err
}

// Wait waits for the end of a process that was started.
func (k *keeper) Wait(pid int, how *Exit) error {
	k.mu.Lock()
	ended, ok := k.ended[pid]
	k.mu.Unlock()
	if !ok {
		return errors.New("there is no such process")
	}
	*how = <-ended
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.ended[pid] == ended {
		delete(k.ended, pid)
	}
	return nil
}

// Signal sends a signal to a process, and tells whether there was none: an error loses
// what it is on its way to the caller.
func (*keeper) Signal(to SignalTo, gone *bool) error {
	if to.Pid <= 1 {
		return fmt.Errorf("%d is not the number of one process", to.Pid)
	}
	err := syscall.Kill(to.Pid, to.Signal)
	if *gone = errors.Is(err, syscall.ESRCH); *gone {
		return nil
	}
	return err
}

// Find returns the processes that run a program of that name.
func (*keeper) Find(program string, pids *[]int) error {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return err
	}
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		// One that has ended, or just ends, has none.
		exe, err := os.Readlink(filepath.Join("/proc", entry.Name(), "exe"))
		if err == nil && filepath.Base(exe) == program {
			*pids = append(*pids, pid)
		}
	}
	return nil
}

// reap takes note of every end, also of processes whose parents have ended.
func (k *keeper) reap() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGCHLD)
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
		case err != nil:
			<-signals // there are no children
		default:
			k.note(pid, status)
		}
	}
}

func (k *keeper) note(pid int, status syscall.WaitStatus) {
	how := Exit{Code: status.ExitStatus()}
	if status.Signaled() {
		how.Signal = status.Signal()
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if ended, ok := k.ended[pid]; ok {
		ended <- how // nobody else writes, and there is room for it
	}
}
