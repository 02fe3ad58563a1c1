package cell

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

// Sync is what becomes of a program's fsyncs and fdatasyncs. The zero value is
// what the disk makes of them.
type Sync struct {
	Fails bool          // each ends with EIO, and nothing was written through
	Late  time.Duration // by which each is
}

// SetSync makes the syncs of a program that was started with Watched so.
//
// The kernel asks the cell's init at each such call (seccomp's notifications), so
// it needs no other file system, and any program can be treated so.
func (c *Cell) SetSync(p *Process, s Sync) error {
	if err := c.client.Call("Init.SetSync", SyncOf{Pid: p.Pid, Sync: s}, new(bool)); err != nil {
		return fmt.Errorf("make syncs of process %d on %s bad: %w", p.Pid, c.Name, err)
	}
	return nil
}

// SyncOf is what becomes of the syncs of a process.
type SyncOf struct {
	Pid  int
	Sync Sync
}

// Private

// warden answers the kernel for one program.
type warden struct {
	file *os.File // on which the kernel asks

	mu   sync.Mutex
	sync Sync
}

// SetSync changes what is answered.
func (k *keeper) SetSync(to SyncOf, _ *bool) error {
	k.mu.Lock()
	w, ok := k.wardens[to.Pid]
	k.mu.Unlock()
	if !ok {
		return errors.New("it was not started to be watched")
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sync = to.Sync
	return nil
}

// The kernel's numbers (linux/seccomp.h, linux/filter.h).
const (
	setModeFilter = 1
	newListener   = 1 << 3
	actAllow      = 0x7fff0000
	actNotify     = 0x7fc00000
	notifyReceive = 0xc0502100
	notifySend    = 0xc0182101
	flagContinue  = 1
	loadWord      = 0x20 // BPF_LD | BPF_W | BPF_ABS
	jumpIfEqual   = 0x15 // BPF_JMP | BPF_JEQ | BPF_K
	giveBack      = 0x06 // BPF_RET | BPF_K
	syscallAt     = 0    // in struct seccomp_data
	pollIn        = 1
	pollHangUp    = 0x10
	askedSize     = 80 // struct seccomp_notif
	answerSize    = 24 // struct seccomp_notif_resp
	answerErrorAt = 16
	answerFlagsAt = 20
)

// watch has the kernel ask about the syncs of this thread, and of what it becomes;
// it returns the file on which it asks.
func watch() (listener int, err error) {
	seccomp, ok := map[string]uintptr{"amd64": 317, "arm64": 277}[runtime.GOARCH]
	if !ok {
		return 0, errors.New("syncs are watched on amd64 and arm64 only")
	}
	filter := []syscall.SockFilter{
		{Code: loadWord, K: syscallAt},
		{Code: jumpIfEqual, Jt: 2, K: syscall.SYS_FSYNC},
		{Code: jumpIfEqual, Jt: 1, K: syscall.SYS_FDATASYNC},
		{Code: giveBack, K: actAllow},
		{Code: giveBack, K: actNotify},
	}
	program := syscall.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]} //nolint:gosec // it is 5
	fd, _, errno := syscall.Syscall(seccomp, setModeFilter, newListener, uintptr(unsafe.Pointer(&program)))
	runtime.KeepAlive(filter)
	if errno != 0 {
		return 0, fmt.Errorf("watch syncs: %w", errno)
	}
	return int(fd), nil
}

// runWatched is what a program is until it is itself: it has the kernel ask about
// its syncs, passes the file for that on, and becomes the program.
func runWatched() error {
	runtime.LockOSThread()
	listener, err := watch()
	if err != nil {
		return err
	}
	if err := sendFile(firstFile, os.NewFile(uintptr(listener), "listener")); err != nil {
		return err
	}
	_, _ = syscall.Close(firstFile), syscall.Close(listener)
	if err := os.Unsetenv(roleVariable); err != nil {
		return fmt.Errorf("become the program: %w", err)
	}
	return fmt.Errorf("become %s: %w", os.Args[1], syscall.Exec(os.Args[1], os.Args[1:], os.Environ()))
}

// serve answers until every process that is watched has ended.
func (w *warden) serve() {
	defer func() { _ = w.file.Close() }()
	listener := int(w.file.Fd())
	for {
		events, err := pollOne(listener)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case err != nil || events&pollIn == 0 && events&pollHangUp != 0:
			return
		}
		asked := make([]byte, askedSize)
		if err := control(listener, notifyReceive, asked); err == nil { // else it has ended meanwhile
			go w.answer(listener, binary.LittleEndian.Uint64(asked))
		}
	}
}

// answer answers one question, by its number.
func (w *warden) answer(listener int, number uint64) {
	w.mu.Lock()
	s := w.sync
	w.mu.Unlock()
	time.Sleep(s.Late)
	answer := make([]byte, answerSize)
	binary.LittleEndian.PutUint64(answer, number)
	if s.Fails {
		code := -int32(syscall.EIO)
		binary.LittleEndian.PutUint32(answer[answerErrorAt:], uint32(code)) //nolint:gosec // two's complement is meant
	} else {
		binary.LittleEndian.PutUint32(answer[answerFlagsAt:], flagContinue)
	}
	_ = control(listener, notifySend, answer) // it may have ended meanwhile
}

func control(fd int, request uintptr, data []byte) error {
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), request, uintptr(unsafe.Pointer(&data[0]))); errno != 0 {
		return errno
	}
	return nil
}

// pollOne waits until something happens on a file.
func pollOne(fd int) (events int16, err error) {
	poll := struct {
		fd              int32
		events, revents int16
	}{fd: int32(fd), events: pollIn} //nolint:gosec // file descriptors are small
	_, _, errno := syscall.Syscall6(syscall.SYS_PPOLL, uintptr(unsafe.Pointer(&poll)), 1, 0, 0, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return poll.revents, nil
}
