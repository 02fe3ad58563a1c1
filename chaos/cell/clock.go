package cell

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Skew puts the wall clock of one process so far from the machine's, whose own
// stays as it is. It lasts as long as the process; 0 puts it right again.
//
// A static Go program asks the kernel's page of code that is mapped into every
// process (the vDSO), so no preloaded library can stand between. The process gets
// a copy of that page as soon as somebody writes to it, as debuggers do; here the
// function that tells the time is replaced in it.
func (c *Cell) Skew(p *Process, by time.Duration) error {
	if err := c.client.Call("Init.Skew", SkewOf{Pid: p.Pid, By: by}, new(bool)); err != nil {
		return fmt.Errorf("skew the clock of process %d on %s: %w", p.Pid, c.Name, err)
	}
	return nil
}

// SkewOf is by how much the clock of a process is wrong.
type SkewOf struct {
	Pid int
	By  time.Duration // whole seconds count
}

// Private

// skewed is the function that tells a process the time: the system call, and
// then, if the wall clock was asked for, the seconds that stand behind the code.
//
//	mov eax, 228        clock_gettime
//	syscall
//	test eax, eax
//	jne end
//	test edi, edi       CLOCK_REALTIME
//	jne end
//	mov rcx, [rip+10]   the seconds
//	add [rsi], rcx
//	end: ret
func skewed(by time.Duration) []byte {
	const secondsAt, size = 32, 40
	code := make([]byte, size)
	copy(code, "\xb8\xe4\x00\x00\x00\x0f\x05\x85\xc0\x75\x0e\x85\xff\x75\x0a\x48\x8b\x0d\x0a\x00\x00\x00\x48\x01\x0e\xc3")
	binary.LittleEndian.PutUint64(code[secondsAt:], uint64(by/time.Second)) //nolint:gosec // two's complement is meant
	return code
}

// Skew replaces the function while no thread of the process is in it.
func (*keeper) Skew(to SkewOf, _ *bool) error {
	if runtime.GOARCH != "amd64" {
		return errors.New("a skewed clock is made for amd64 only")
	}
	memory, err := os.OpenFile(fmt.Sprintf("/proc/%d/mem", to.Pid), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer func() { _ = memory.Close() }()
	f, err := clockFunction(to.Pid, memory)
	if err != nil {
		return err
	}
	const tries = 50
	for range tries {
		done, err := whileStopped(to.Pid, f, func() error {
			_, err := memory.WriteAt(skewed(to.By), int64(f.start)) //nolint:gosec // an address of a process
			return err
		})
		if done || err != nil {
			return err
		}
		time.Sleep(time.Millisecond)
	}
	return errors.New("its threads ask for the time all the time")
}

// span is where a function's code is in a process.
type span struct{ start, end uint64 }

// clockFunction finds the function that tells the time in a process.
func clockFunction(pid int, memory *os.File) (span, error) {
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		return span{}, err
	}
	for line := range strings.Lines(string(maps)) {
		if !strings.HasSuffix(strings.TrimSpace(line), "[vdso]") {
			continue
		}
		var page span
		if _, err := fmt.Sscanf(line, "%x-%x", &page.start, &page.end); err != nil {
			return span{}, err
		}
		image := make([]byte, page.end-page.start)
		if _, err := memory.ReadAt(image, int64(page.start)); err != nil { //nolint:gosec // an address of a process
			return span{}, err
		}
		return symbol(image, page.start)
	}
	return span{}, errors.New("it has no vDSO")
}

func symbol(image []byte, at uint64) (span, error) {
	file, err := elf.NewFile(bytes.NewReader(image))
	if err != nil {
		return span{}, err
	}
	symbols, err := file.DynamicSymbols()
	if err != nil {
		return span{}, err
	}
	for _, s := range symbols {
		if s.Name == "__vdso_clock_gettime" {
			if s.Size < uint64(len(skewed(0))) {
				return span{}, fmt.Errorf("%s has %d bytes only", s.Name, s.Size)
			}
			return span{at + s.Value, at + s.Value + s.Size}, nil
		}
	}
	return span{}, errors.New("its vDSO does not tell the time")
}

// whileStopped stops a process and does that, unless a thread is in the span.
func whileStopped(pid int, f span, do func() error) (done bool, err error) {
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, syscall.Kill(pid, syscall.SIGCONT)) }()
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
	if err != nil {
		return false, err
	}
	for _, task := range tasks {
		at, stopped, err := instruction(task)
		if errors.Is(err, fs.ErrNotExist) {
			continue // the thread has ended
		}
		if err != nil || !stopped || at >= f.start && at < f.end {
			return false, err
		}
	}
	return true, do()
}

// instruction tells where a thread is, if it has stopped already.
func instruction(task string) (at uint64, stopped bool, err error) {
	data, err := os.ReadFile(filepath.Join(task, "syscall"))
	if err != nil {
		return 0, false, err
	}
	fields := strings.Fields(string(data))
	if len(fields) < 2 { // "running"
		return 0, false, nil
	}
	at, err = strconv.ParseUint(strings.TrimPrefix(fields[len(fields)-1], "0x"), 16, 64)
	return at, err == nil, err
}
