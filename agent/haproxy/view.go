package haproxy

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// placeholder is the address of an empty slot: nothing listens there, and the
// slot is in maintenance anyway.
var placeholder = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 1) //nolint:gochecknoglobals // a constant that Go cannot spell as one

// entry is one service as HAProxy last showed it.
type entry struct {
	Service

	backend string
	slots   map[string]server
	split   Split // sticky: as read; weights: as last asked for
}

// view is all services. It is immutable: a change makes a new one.
type view struct {
	services map[string]entry
}

// live is what one look at HAProxy gives.
type live struct {
	info    info
	servers map[string]map[string]server
	splits  map[string][]string
	stats   map[statKey]stat
}

// slotNames returns a1..aN, b1..bN.
func slotNames(n int) []string {
	names := make([]string, 0, 2*n)
	for _, bank := range []string{"a", "b"} {
		for i := 1; i <= n; i++ {
			names = append(names, bank+strconv.Itoa(i))
		}
	}
	return names
}

func bankOf(slot string) string { return slot[:1] }

func otherBank(bank string) string {
	if bank == "a" {
		return "b"
	}
	return "a"
}

// look reads everything in one exchange; with stats or without.
func (b *balancer) look(ctx context.Context, stats bool) (live, error) {
	commands := []string{"show info", "show servers state"}
	if b.mapPath != "" {
		commands = append(commands, "show map "+b.mapPath)
	}
	if stats {
		commands = append(commands, "show stat")
	}
	answers, err := b.sock.run(ctx, commands...)
	if err != nil {
		return live{}, err
	}
	var l live
	if l.info, err = parseInfo(answers[0]); err != nil {
		return live{}, err
	}
	if l.servers, err = parseServers(answers[1]); err != nil {
		return live{}, err
	}
	if b.mapPath != "" {
		l.splits = parseMap(answers[2])
	}
	if stats {
		if l.stats, err = parseStat(answers[len(answers)-1]); err != nil {
			return live{}, err
		}
	}
	return l, nil
}

// merge returns the entry as the look shows it.
func (b *balancer) merge(e entry, l live) (entry, error) {
	rows, ok := l.servers[e.backend]
	if !ok {
		return e, fmt.Errorf("HAProxy shows no backend %s", e.backend)
	}
	e.slots = make(map[string]server, 2*b.cfg.Slots)
	for _, name := range slotNames(b.cfg.Slots) {
		row, ok := rows[name]
		if !ok {
			return e, fmt.Errorf("HAProxy shows no server %s/%s", e.backend, name)
		}
		e.slots[name] = row
	}
	if !e.Sticky {
		return e, nil
	}
	e.split = Split{}
	if values := l.splits[e.Name]; len(values) > 0 {
		split, err := parseSplit(values[0])
		if err != nil {
			return e, err
		}
		e.split = split
	}
	return e, nil
}

// refresh merges one service, or all if name is empty, into the view. The
// caller has the turn.
func (b *balancer) refresh(ctx context.Context, name string) error {
	l, err := b.look(ctx, false)
	if err != nil {
		return err
	}
	old := b.view.Load()
	next := &view{services: maps.Clone(old.services)}
	for n, e := range old.services {
		if name != "" && n != name {
			continue
		}
		if next.services[n], err = b.merge(e, l); err != nil {
			return err
		}
	}
	b.view.Store(next)
	return nil
}

func (b *balancer) entry(service string) (entry, error) {
	e, ok := b.view.Load().services[service]
	if !ok {
		return entry{}, fmt.Errorf("%w: %q", ErrUnknownService, service)
	}
	return e, nil
}

// remember stores the split that was asked for in weights mode, where
// HAProxy has no place for it.
func (b *balancer) remember(service string, split Split) {
	old := b.view.Load()
	next := &view{services: maps.Clone(old.services)}
	e := next.services[service]
	e.split = split
	next.services[service] = e
	b.view.Store(next)
}

// bank returns the attached slots of a bank, sorted, and the sum of their weights.
func (e *entry) bank(bank string) (names []string, weight int) {
	for name, s := range e.slots {
		if strings.HasPrefix(name, bank) && s.attached() {
			names = append(names, name)
			weight += s.weight
		}
	}
	slices.Sort(names)
	return names, weight
}

func (s server) attached() bool {
	return s.state != Maint && s.addr.IsValid() && s.addr != placeholder
}

// shown returns the split to report and the share that users really get.
func (e *entry) shown() (Split, int) {
	if e.Sticky {
		return e.split, e.split.Share
	}
	split := e.split
	if split.Bank == "" {
		// Nobody remembers: the lighter bank is the canary.
		_, a := e.bank("a")
		_, b := e.bank("b")
		switch {
		case a == 0 || b == 0:
			return Split{Replicas: split.Replicas}, 0
		case a < b:
			split.Bank = "a"
		default:
			split.Bank = "b"
		}
	}
	canaries, wc := e.bank(split.Bank)
	stables, ws := e.bank(otherBank(split.Bank))
	actual := effectiveShare(ws, wc)
	s, c := serverWeights(split.Share, len(stables), len(canaries))
	if effectiveShare(s*len(stables), c*len(canaries)) != actual {
		split.Share = actual
	}
	return split, actual
}
