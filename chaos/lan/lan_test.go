package lan

import (
	"os"
	"syscall"
	"testing"
	"time"
)

// device is what hangs on a port: it sends frames, and takes what comes.
type device struct {
	t    *testing.T
	mac  byte
	wire *os.File
}

// attach connects a device; a frame is a message of the socket pair.
func attach(t *testing.T, s *Switch, name string, mac byte) device {
	t.Helper()
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_SEQPACKET|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), name), os.NewFile(uintptr(pair[1]), name)
	t.Cleanup(func() { _, _ = ours.Close(), theirs.Close() })
	s.Attach(name, theirs)
	return device{t, mac, ours}
}

const everybody = 0xff

func (d device) send(to, body byte) {
	d.t.Helper()
	frame := make([]byte, headSize+1)
	frame[0], frame[addressSize-1] = to&groupBit, to
	frame[2*addressSize-1], frame[headSize] = d.mac, body
	if _, err := d.wire.Write(frame); err != nil {
		d.t.Fatal(err)
	}
}

// want takes one frame, which has to have that body.
func (d device) want(body byte) {
	d.t.Helper()
	if err := d.wire.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		d.t.Fatal(err)
	}
	frame := make([]byte, maxFrame)
	n, err := d.wire.Read(frame)
	if err != nil || n != headSize+1 || frame[headSize] != body {
		d.t.Fatalf("%d bytes %v (%v), want a frame with %d", n, frame[:n], err, body)
	}
}

// TestSwitch: frames go where their receiver is, and to all ports while that is
// not known; a cut is of one direction, and ends. What may not come would come
// first, so the frame after it shows that it did not.
func TestSwitch(t *testing.T) {
	s := New(1)
	a, b, c := attach(t, s, "a", 2), attach(t, s, "b", 4), attach(t, s, "c", 6)
	a.send(everybody, 1)
	b.want(1)
	c.want(1)
	b.send(a.mac, 2)
	a.want(2)
	a.send(b.mac, 3) // is learned: c does not get it
	b.want(3)
	s.Set("a", "b", Link{Cut: true})
	a.send(b.mac, 4) // is lost
	b.send(a.mac, 5)
	a.want(5)
	a.send(everybody, 6)
	c.want(6)
	for s.Dropped() < 2 {
		time.Sleep(time.Millisecond)
	}
	s.Heal()
	a.send(b.mac, 7)
	b.want(7)
	s.SetBoth("a", "b", Link{Double: 1})
	a.send(b.mac, 8)
	b.want(8)
	b.want(8)
	s.SetBoth("a", "b", Link{Delay: 20 * time.Millisecond})
	began := time.Now()
	a.send(b.mac, 9)
	b.want(9)
	if took := time.Since(began); took < 20*time.Millisecond {
		t.Errorf("a late frame took %s", took)
	}
}

// TestFate: the shares of lost and doubled frames are those of the link.
func TestFate(t *testing.T) {
	const frames = 10_000
	s := New(1)
	counts := map[int]int{}
	for range frames {
		times, late := s.fate(Link{Delay: time.Second, Jitter: time.Second, Loss: .2, Double: .1})
		if late < 0 || late > 2*time.Second {
			t.Fatalf("a frame is %s late", late)
		}
		counts[times]++
	}
	if counts[0] < 1800 || counts[0] > 2200 || counts[2] < 700 || counts[2] > 900 {
		t.Errorf("of %d frames so many were lost, carried, doubled: %v", frames, counts)
	}
}
