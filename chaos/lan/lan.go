// Package lan is an Ethernet switch in this process. Every frame between two of
// its ports can be delayed, lost, doubled or cut off, each direction by itself.
package lan

import (
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Link is what becomes of the frames from one port to another. The zero value
// is a good link.
type Link struct {
	Delay, Jitter time.Duration // each frame takes Delay plus or minus up to Jitter
	Loss, Double  float64       // shares of all frames, 0 to 1
	Cut           bool
}

// Switch connects ports. The zero value is not ready: use New.
type Switch struct {
	mu    sync.RWMutex
	ports map[string]*port
	homes map[address]string // port by the address of a device behind it
	links map[pair]Link

	chance struct {
		sync.Mutex
		*rand.Rand
	}
	dropped atomic.Int64
}

// New makes a switch without ports. The seed decides which frames are lost.
func New(seed uint64) *Switch {
	s := &Switch{ports: map[string]*port{}, homes: map[address]string{}, links: map[pair]Link{}}
	s.chance.Rand = rand.New(rand.NewPCG(seed, 0))
	return s
}

// Attach connects a port; one that had the name is forgotten. The switch reads
// frames from wire until that is closed.
func (s *Switch) Attach(name string, wire *os.File) {
	p := &port{name: name, wire: wire}
	s.mu.Lock()
	s.ports[name] = p
	s.mu.Unlock()
	go s.pump(p)
}

// Set makes the link from one port to another; it lasts over Attach.
func (s *Switch) Set(from, to string, l Link) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l == (Link{}) {
		delete(s.links, pair{from, to})
		return
	}
	s.links[pair{from, to}] = l
}

// SetBoth makes both links between two ports.
func (s *Switch) SetBoth(one, other string, l Link) {
	s.Set(one, other, l)
	s.Set(other, one, l)
}

// Heal makes all links good.
func (s *Switch) Heal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.links)
}

// Dropped is how many frames were cut off or lost.
func (s *Switch) Dropped() int64 { return s.dropped.Load() }

// String tells how many links are not good.
func (s *Switch) String() string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return fmt.Sprintf("%d ports, %d bad links", len(s.ports), len(s.links))
}

// Private

type (
	pair    struct{ from, to string }
	address [6]byte
)

type port struct {
	name string
	wire *os.File
}

// An Ethernet frame begins with the receiver's and the sender's address.
const (
	addressSize = 6
	headSize    = 2*addressSize + 2
	maxFrame    = 1 << 16
	groupBit    = 1 // of the first byte: for more than one
)

func (s *Switch) pump(p *port) {
	buffer := make([]byte, maxFrame)
	for {
		n, err := p.wire.Read(buffer)
		if err != nil {
			return // the cell has ended
		}
		if n >= headSize {
			s.forward(p, buffer[:n])
		}
	}
}

func (s *Switch) forward(from *port, frame []byte) {
	receiver, sender := address(frame[:addressSize]), address(frame[addressSize:2*addressSize])
	s.learn(sender, from.name)
	s.mu.RLock()
	defer s.mu.RUnlock()
	home, known := s.homes[receiver]
	for name, p := range s.ports {
		if p == from || known && receiver[0]&groupBit == 0 && name != home {
			continue
		}
		s.carry(s.links[pair{from.name, name}], p, frame)
	}
}

func (s *Switch) learn(device address, name string) {
	s.mu.RLock()
	known := s.homes[device] == name
	s.mu.RUnlock()
	if known {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.homes[device] = name
}

// carry writes the frame as often and as late as the link wants it.
func (s *Switch) carry(l Link, to *port, frame []byte) {
	if l == (Link{}) {
		_, _ = to.wire.Write(frame) // a cell that has ended takes none
		return
	}
	times, late := s.fate(l)
	if times == 0 {
		s.dropped.Add(1)
		return
	}
	kept := append([]byte(nil), frame...)
	for range times {
		time.AfterFunc(late, func() { _, _ = to.wire.Write(kept) })
	}
}

// fate draws what becomes of one frame.
func (s *Switch) fate(l Link) (times int, late time.Duration) {
	if l.Cut {
		return 0, 0
	}
	s.chance.Lock()
	loss, double, jitter := s.chance.Float64(), s.chance.Float64(), s.chance.Float64()
	s.chance.Unlock()
	late = max(0, l.Delay+time.Duration((2*jitter-1)*float64(l.Jitter)))
	switch {
	case loss < l.Loss:
		return 0, late
	case double < l.Double:
		return 2, late
	default:
		return 1, late
	}
}
