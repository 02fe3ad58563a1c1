package wire

import (
	"fmt"
	"time"

	"github.com/serin-rollouts/serin/internal/rollout"
	serinv1 "github.com/serin-rollouts/serin/proto/serin/v1"
)

// EncodeWave renders the broadcast that lowers a fleet.
func EncodeWave(w rollout.Wave) ([]byte, error) {
	if err := checkWave(w); err != nil {
		return nil, fmt.Errorf("encode wave: %w", err)
	}
	return marshal("wave", maxBroadcast, &serinv1.Wave{
		Service: w.Service, Epoch: w.Epoch, Rollout: w.Rollout, Canary: w.Canary, Weight: uint32(w.Weight),
	})
}

// DecodeWave reads a broadcast and refuses one without a service or an epoch,
// or with a weight that is out of range or nobody's.
func DecodeWave(data []byte) (rollout.Wave, error) {
	var m serinv1.Wave
	if err := unmarshal("wave", maxBroadcast, data, &m); err != nil {
		return rollout.Wave{}, err
	}
	w := rollout.Wave{
		Service: m.GetService(), Epoch: m.GetEpoch(), Rollout: m.GetRollout(), Canary: m.GetCanary(), Weight: small(m.GetWeight()),
	}
	if err := checkWave(w); err != nil {
		return rollout.Wave{}, fmt.Errorf("decode wave: %w", err)
	}
	return w, nil
}

// EncodeBeat renders a leader's sign of life; the lease is rounded up to whole
// milliseconds.
func EncodeBeat(b Beat) ([]byte, error) {
	if err := checkBeat(b); err != nil {
		return nil, fmt.Errorf("encode beat: %w", err)
	}
	return marshal("beat", maxBroadcast, &serinv1.Beat{
		Leader: b.Leader, Term: b.Term, LeaseMs: millis(b.Lease), ClockNs: int64(b.Clock),
	})
}

// DecodeBeat reads a leader's sign of life and refuses one without a leader or
// a lease.
func DecodeBeat(data []byte) (Beat, error) {
	var m serinv1.Beat
	if err := unmarshal("beat", maxBroadcast, data, &m); err != nil {
		return Beat{}, err
	}
	b := Beat{Leader: m.GetLeader(), Term: m.GetTerm(), Lease: duration(m.GetLeaseMs()), Clock: time.Duration(m.GetClockNs())}
	if err := checkBeat(b); err != nil {
		return Beat{}, fmt.Errorf("decode beat: %w", err)
	}
	return b, nil
}

// EncodeResolve renders the question what a reference stands for.
func EncodeResolve(r Resolve) ([]byte, error) {
	if err := checkResolve(r); err != nil {
		return nil, fmt.Errorf("encode resolve: %w", err)
	}
	return marshal("resolve", maxBroadcast, &serinv1.Resolve{Image: r.Image})
}

// DecodeResolve reads the question and refuses one that names no image.
func DecodeResolve(data []byte) (Resolve, error) {
	var m serinv1.Resolve
	if err := unmarshal("resolve", maxBroadcast, data, &m); err != nil {
		return Resolve{}, err
	}
	r := Resolve{Image: m.GetImage()}
	if err := checkResolve(r); err != nil {
		return Resolve{}, fmt.Errorf("decode resolve: %w", err)
	}
	return r, nil
}

// EncodeResolved renders the answer to Resolve; its error is cut to 1 KiB.
func EncodeResolved(r Resolved) ([]byte, error) {
	r.Error = text(r.Error)
	if err := checkResolved(r); err != nil {
		return nil, fmt.Errorf("encode resolved: %w", err)
	}
	return marshal("resolved", maxBroadcast, &serinv1.Resolved{Image: r.Image, Local: r.Local, Error: r.Error})
}

// DecodeResolved reads the answer to Resolve and refuses one that is neither a
// pinned image nor an error.
func DecodeResolved(data []byte) (Resolved, error) {
	var m serinv1.Resolved
	if err := unmarshal("resolved", maxBroadcast, data, &m); err != nil {
		return Resolved{}, err
	}
	r := Resolved{Image: m.GetImage(), Local: m.GetLocal(), Error: text(m.GetError())}
	if err := checkResolved(r); err != nil {
		return Resolved{}, fmt.Errorf("decode resolved: %w", err)
	}
	return r, nil
}

// Private

func checkWave(w rollout.Wave) error {
	var c check
	c.service(w.Service)
	c.epoch(w.Epoch)
	c.token("rollout", w.Rollout)
	c.token("canary", w.Canary)
	c.weight(w.Weight)
	c.that(w.Canary != "" || w.Weight == 0, "weight is %d without a canary", w.Weight)
	return c.err
}

func checkBeat(b Beat) error {
	var c check
	c.that(b.Leader != "", "leader is missing")
	c.token("leader", b.Leader)
	c.span("lease", b.Lease)
	c.that(b.Lease > 0, "lease is missing")
	c.that(b.Clock >= 0, "clock is negative")
	return c.err
}

func checkResolve(r Resolve) error {
	var c check
	c.that(r.Image != "", "image is missing")
	c.size("image", r.Image, maxValue)
	return c.err
}

func checkResolved(r Resolved) error {
	var c check
	c.that((r.Image == "") != (r.Error == ""), "there must be either an image or an error")
	if r.Image != "" {
		c.pinned("image", r.Image)
	}
	return c.err
}
