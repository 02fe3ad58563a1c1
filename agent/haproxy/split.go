package haproxy

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// MinStep returns the smallest share above 0 that the service can give its
// canary, in basis points. With server weights it depends on how many servers
// are attached, so it is exact only once the canary is.
func (b *balancer) MinStep(service string) int {
	e, err := b.entry(service)
	if err != nil || e.Sticky {
		return 1
	}
	return e.minStep(e.split.Bank)
}

func (e *entry) minStep(bank string) int {
	if bank == "" {
		inA, _ := e.bank("a")
		inB, _ := e.bank("b")
		return minShare(max(len(inA), len(inB)), 1)
	}
	canaries, _ := e.bank(bank)
	stables, _ := e.bank(otherBank(bank))
	return minShare(len(stables), len(canaries))
}

// SetSplit gives the canary a share of the users. Sticky services: one atomic
// "set map". Weights: server weights that give the largest share not above the
// one asked for, or a StepError (and no change) if even the smallest is above.
func (b *balancer) SetSplit(ctx context.Context, service string, split Split) error {
	split.Replicas = max(split.Replicas, 1)
	err := b.change(ctx, service, func(e *entry) (change, error) {
		if err := split.validate(b.cfg.Slots); err != nil {
			return change{}, err
		}
		if names, _ := e.bank(split.Bank); split.Share > 0 && len(names) == 0 {
			return change{}, fmt.Errorf("%w: %s", ErrNothingAttached, split.Bank)
		}
		if e.Sticky {
			return b.mapChange(ctx, e, split)
		}
		return e.weightChange(split)
	})
	if err != nil {
		return fmt.Errorf("set split of %s to %d basis points: %w", service, split.Share, err)
	}
	return nil
}

// Zero takes all traffic off the canary: the fast path of a rollback. One
// command line is sent at once, without waiting for any change or reload under
// way; then the same is done in order, read back and made durable.
func (b *balancer) Zero(ctx context.Context, service string) error {
	e, err := b.entry(service)
	if err != nil {
		return fmt.Errorf("zero %s: %w", service, err)
	}
	fast := b.send(ctx, b.zeroCommands(&e))
	split := e.split
	if split.Bank == "" {
		split, _ = e.shown()
	}
	split.Share = 0
	if err := b.SetSplit(ctx, service, split); err != nil {
		return fmt.Errorf("zero %s: %w", service, errors.Join(fast, err))
	}
	return nil
}

// Private

// zeroCommands works on the last view. In weights mode the stable servers are
// raised first if they have no weight left.
func (b *balancer) zeroCommands(e *entry) []string {
	split, _ := e.shown()
	split.Share = 0
	if e.Sticky {
		return []string{b.setMap(e.Name, split)}
	}
	if split.Bank == "" {
		return nil
	}
	var commands []string
	stables, weight := e.bank(otherBank(split.Bank))
	if weight == 0 {
		for _, slot := range stables {
			commands = append(commands, setWeight(e.backend+"/"+slot, maxWeight))
		}
	}
	canaries, _ := e.bank(split.Bank)
	for _, slot := range canaries {
		commands = append(commands, setWeight(e.backend+"/"+slot, 0))
	}
	return commands
}

// mapChange sets the service's key. Every map that serin writes has it; should
// somebody have deleted it, it is added, but only after a look, since adding
// a key that exists makes a second one. ("set map" changes all entries of a key,
// so duplicates made by hand do no harm.)
func (b *balancer) mapChange(ctx context.Context, e *entry, split Split) (change, error) {
	answers, err := b.sock.run(ctx, "show map "+b.mapPath)
	if err != nil {
		return change{}, err
	}
	set := []string{b.setMap(e.Name, split)}
	if n := len(parseMap(answers[0])[e.Name]); n == 0 {
		set = []string{strings.Replace(set[0], "set map", "add map", 1)}
	}
	return change{
		phases: [][]string{set},
		done:   func(e *entry) bool { return e.split == split },
	}, nil
}

func (e *entry) weightChange(split Split) (change, error) {
	if split.Bank == "" { // no canary, no share: nothing to weigh
		return change{split: &split, done: func(*entry) bool { return true }}, nil
	}
	canaries, _ := e.bank(split.Bank)
	stables, _ := e.bank(otherBank(split.Bank))
	ws, wc := serverWeights(split.Share, len(stables), len(canaries))
	if split.Share > 0 && wc == 0 {
		return change{}, &StepError{Service: e.Name, Share: split.Share, Min: e.minStep(split.Bank)}
	}
	weights := make(map[string]int, len(stables)+len(canaries))
	for _, slot := range stables {
		weights[slot] = ws
	}
	for _, slot := range canaries {
		weights[slot] = wc
	}
	raise, lower := e.reweigh(weights)
	return change{phases: [][]string{raise, lower}, split: &split, done: weighs(weights)}, nil
}
