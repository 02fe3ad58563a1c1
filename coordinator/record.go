package coordinator

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"github.com/serin-rollouts/serin/internal/analysis"
	entries "github.com/serin-rollouts/serin/internal/record"
	"github.com/serin-rollouts/serin/internal/rollout"
)

const (
	mostTape    = 256 << 20 // bytes of one rollout's record
	mostTapes   = 4 << 30   // bytes of all records
	tapeWaiting = 4096      // entries on their way to the disk
	mostParts   = 1000      // of one rollout's record
	tapeEnding  = ".jsonl"
)

// recorder writes what rollouts are judged by into a directory, one file for
// each rollout; another one where a replica starts again in its middle. The loop never waits for the disk: a record that it
// cannot keep up with ends early, and says so.
type recorder struct {
	dir   string
	log   zerolog.Logger
	lines chan tapeLine
}

type tapeLine struct {
	file string
	text []byte
}

// newRecorder returns nil, which records nothing, if there is no directory.
func newRecorder(dir string, log zerolog.Logger) *recorder {
	if dir == "" {
		return nil
	}
	return &recorder{dir: dir, log: log, lines: make(chan tapeLine, tapeWaiting)}
}

// run writes until ctx ends. What cannot be written is told once for each
// file, and keeps nobody from leading.
func (r *recorder) run(ctx context.Context) {
	if r == nil {
		return
	}
	files := map[string]*os.File{} // nil: it cannot be written
	defer func() {
		for _, f := range files {
			if f != nil {
				_ = f.Close() // a record is no promise
			}
		}
	}()
	for {
		select {
		case <-ctx.Done():
			return
		case l := <-r.lines:
			r.write(files, l)
		}
	}
}

func (r *recorder) write(files map[string]*os.File, l tapeLine) {
	f, known := files[l.file]
	if !known {
		f = r.open(l.file)
		files[l.file] = f
	}
	if f == nil {
		return
	}
	if _, err := f.Write(l.text); err != nil {
		r.log.Warn().Err(err).Str("file", l.file).Msg("record ends")
		files[l.file] = nil
		_ = f.Close() // a record is no promise
	}
}

// open makes room for a record and begins its next part.
func (r *recorder) open(name string) *os.File {
	err := os.MkdirAll(r.dir, 0o750)
	if err == nil {
		err = prune(r.dir, mostTapes-mostTape)
	}
	if err != nil {
		r.log.Warn().Err(err).Msg("old records not removed")
	}
	for part := 1; ; part++ {
		path := filepath.Join(r.dir, name+"."+strconv.Itoa(part)+tapeEnding)
		f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if errors.Is(err, fs.ErrExist) && part < mostParts {
			continue
		}
		if err != nil {
			r.log.Warn().Err(err).Msg("rollout not recorded")
			return nil
		}
		return f
	}
}

// prune removes the oldest records until the rest has no more than so many bytes.
func prune(dir string, most int64) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("read records: %w", err)
	}
	var all []os.FileInfo
	total := int64(0)
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !strings.HasSuffix(e.Name(), tapeEnding) || !info.Mode().IsRegular() {
			continue
		}
		all = append(all, info)
		total += info.Size()
	}
	slices.SortFunc(all, func(a, b os.FileInfo) int { return a.ModTime().Compare(b.ModTime()) })
	for _, info := range all {
		if total <= most {
			break
		}
		if gone := os.Remove(filepath.Join(dir, info.Name())); gone != nil {
			err = errors.Join(err, gone)
			continue
		}
		total -= info.Size()
	}
	return err
}

// tape is the record of one rollout. A nil tape takes nothing in.
type tape struct {
	to   *recorder
	file string // without its number and ending
	left int64  // bytes
	said string
}

// tape begins a rollout's record.
func (r *recorder) tape(rollout string) *tape {
	if r == nil {
		return nil
	}
	return &tape{to: r, file: rollout, left: mostTape}
}

// put writes an entry, unless the record has ended.
func (t *tape) put(e entries.Entry) {
	if t == nil || t.left <= 0 {
		return
	}
	text, err := entries.Encode(e)
	if err == nil {
		t.left -= int64(len(text))
		select {
		case t.to.lines <- tapeLine{t.file, text}:
			if t.left > 0 {
				return
			}
		default:
			err = errors.New("the disk does not keep up")
		}
	}
	t.left = 0
	t.to.log.Warn().Err(err).Str("file", t.file).Msg("record ends before its rollout")
	if end, wrong := entries.Encode(entries.Entry{At: e.At, Full: true}); wrong == nil {
		select {
		case t.to.lines <- tapeLine{t.file, end}:
		default:
		}
	}
}

// taped is a panel whose judging can be repeated from what it has heard.
type taped struct {
	*analysis.Panel

	tape *tape
	step int  // from 1
	anew bool // evidence was forgotten in this rollout
	at   time.Duration

	unasked bool              // since the last entry
	missing map[string]string // by gate, as written down
}

// record begins to write down, from the step that has just begun.
func (p *taped) record(t *tape, r *rollout.Rollout, now time.Duration) {
	if p == nil || t == nil {
		return
	}
	p.tape, p.at = t, now
	t.put(entries.Entry{At: now, Head: &entries.Head{
		Rollout: r.ID, Service: r.Service, Wall: time.Now().UnixMilli(), Gates: &r.Spec.Gates, Attempt: r.Anew + 1, Hosts: r.Reach(),
	}})
	t.put(entries.Entry{At: now, Step: &entries.Step{Number: p.step, Baseline: r.Judged(p.anew).Baseline}})
}

// renew forgets all evidence; gates are with what the one that begins may spend.
func (p *taped) renew(gates analysis.Gates, now time.Duration) {
	p.Panel = analysis.NewPanel(gates)
	p.at, p.anew, p.missing = now, true, nil
	p.tape.put(entries.Entry{At: now, Anew: true})
}

// Observe takes in a report.
func (p *taped) Observe(r analysis.Report) {
	p.Panel.Observe(r)
	p.at = max(p.at, r.At)
	p.tape.put(entries.Entry{At: p.at, Report: &r})
}

// ObserveApart takes in a report's signals and usage.
func (p *taped) ObserveApart(r analysis.Report) {
	p.Panel.ObserveApart(r)
	p.at = max(p.at, r.At)
	p.tape.put(entries.Entry{At: p.at, Report: &r, Apart: true})
}

// Tell takes in what a condition came to.
func (p *taped) Tell(gate string, told analysis.Told) {
	p.Panel.Tell(gate, told)
	p.asked()
	delete(p.missing, gate)
	p.at = max(p.at, told.At)
	p.tape.put(entries.Entry{At: p.at, Told: &entries.Told{Gate: gate, Held: told.Held, Text: told.Text}})
}

// Unasked takes in that no condition has been asked yet. It is said again and
// again, and matters once there is a verdict.
func (p *taped) Unasked(now time.Duration) {
	p.Panel.Unasked(now)
	p.at, p.unasked = max(p.at, now), true
}

// led takes in that somebody else has asked the conditions until now: what was
// answered is not known here.
func (p *taped) led(now time.Duration) {
	p.Unasked(max(p.at, now))
	p.asked()
}

// Unanswered takes in why a condition has no answer.
func (p *taped) Unanswered(gate, why string, now time.Duration) {
	p.Panel.Unanswered(gate, why, now)
	if p.tape == nil || p.missing[gate] == why {
		return
	}
	if p.missing == nil {
		p.missing = map[string]string{}
	}
	p.missing[gate] = why
	p.asked()
	p.at = max(p.at, now)
	p.tape.put(entries.Entry{At: p.at, Missing: &entries.Missing{Gate: gate, Why: why}})
}

// Exclude forgets a host.
func (p *taped) Exclude(host string) {
	p.Panel.Exclude(host)
	p.tape.put(entries.Entry{At: p.at, Exclude: host})
}

// Restart begins a step.
func (p *taped) Restart(now time.Duration, s analysis.Step) {
	s.Later = p.step > 1 || p.anew // as who reads the record takes it
	p.Panel.Restart(now, s)
	p.at = max(p.at, now)
	p.tape.put(entries.Entry{At: p.at, Step: &entries.Step{Number: p.step, Baseline: s.Baseline}})
}

// Verdict judges. A verdict that is another one than before is written down.
func (p *taped) Verdict(now time.Duration) analysis.Verdict {
	v := p.Panel.Verdict(now)
	if p.tape == nil {
		return v
	}
	said := cmp.Or(v.Outlier, "-") + " " + v.Outcome.String() + " " + v.Gate
	if said != p.tape.said && now >= p.at {
		p.asked()
		p.tape.said, p.at = said, now
		p.tape.put(entries.Entry{At: now, Verdict: &v})
	}
	return v
}

// asked writes down that nothing was asked until now.
func (p *taped) asked() {
	if p.unasked {
		p.unasked = false
		p.tape.put(entries.Entry{At: p.at, Unasked: true})
	}
}
