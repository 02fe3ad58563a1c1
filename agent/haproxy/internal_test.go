package haproxy

import (
	"bufio"
	"errors"
	"net"
	"net/netip"
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// Weights give a share that is never above the one asked for, and no pair of
// weights comes closer.
func TestServerWeightsAreTheBest(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		share := rapid.IntRange(1, 9999).Draw(t, "share")
		stable, canary := rapid.IntRange(1, 8).Draw(t, "stable"), rapid.IntRange(1, 8).Draw(t, "canary")
		ws, wc := serverWeights(share, stable, canary)
		fits := func(ws, wc int) bool { return 10000*canary*wc <= share*(canary*wc+stable*ws) }
		if wc == 0 {
			if minShare(stable, canary) <= share {
				t.Fatalf("nothing for %d, though the smallest step is %d", share, minShare(stable, canary))
			}
			return
		}
		if ws < 1 || ws > maxWeight || wc > maxWeight || !fits(ws, wc) {
			t.Fatalf("weights %d:%d", ws, wc)
		}
		for c := 1; c <= maxWeight; c++ {
			for _, s := range []int{ceilDiv(ws*c, wc) - 1, ceilDiv(ws*c, wc)} {
				if s >= 1 && s <= maxWeight && fits(s, c) && c*ws > wc*s {
					t.Fatalf("%d:%d is closer to %d than %d:%d", s, c, share, ws, wc)
				}
			}
		}
		if got := effectiveShare(stable*ws, canary*wc); got > share {
			t.Fatalf("effective share %d above %d", got, share)
		}
	})
}

func TestServerWeightsAtTheEnds(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ share, stable, canary, ws, wc int }{
		{0, 1, 1, 256, 0},
		{10000, 1, 1, 0, 256},
		{5000, 0, 1, 0, 256},
		{5000, 1, 0, 256, 0},
		{100, 1, 1, 198, 2},
		{10, 1, 1, 256, 0},
		{10, 4, 1, 250, 1},
		{5000, 2, 1, 128, 256},
	} {
		if ws, wc := serverWeights(c.share, c.stable, c.canary); ws != c.ws || wc != c.wc {
			t.Errorf("share %d of %d and %d: %d:%d, want %d:%d", c.share, c.stable, c.canary, ws, wc, c.ws, c.wc)
		}
	}
}

func TestSplitRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := Split{
			Share: rapid.IntRange(0, 10000).Draw(t, "share"), Salt: rapid.StringMatching(`([A-Za-z0-9_][A-Za-z0-9_-]{0,20})?`).Draw(t, "salt"),
			Bank: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "bank"), Replicas: rapid.IntRange(1, 8).Draw(t, "replicas"),
		}
		if err := s.validate(8); err != nil {
			t.Fatal(err)
		}
		if got, err := parseSplit(s.encode()); err != nil || got != s {
			t.Fatalf("%v -> %q -> %v, %v", s, s.encode(), got, err)
		}
	})
}

func TestSplitAnswers(t *testing.T) {
	t.Parallel()
	got, err := splitAnswers("\n[4]: IP changed\n\n\n[3]: No such server.\n\n")
	want := []string{"", "[4]: IP changed", "", "[3]: No such server."}
	if err != nil || strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("%q, %v", got, err)
	}
	for _, cut := range []string{"\n[4]: IP cha", "a\nb\n"} {
		if _, err := splitAnswers(cut); err == nil {
			t.Errorf("%q: accepted", cut)
		}
	}
	for answer, want := range map[string]bool{
		"": true, "[4]: IP changed": true, "[6]: fine": true, "[3]: No such server.": false, "[0]: x": false,
		"Unknown command": false, "Permission denied": false, "[": false,
	} {
		if accepted(answer) != want {
			t.Errorf("%q: accepted = %v", answer, !want)
		}
	}
}

func TestVersions(t *testing.T) {
	t.Parallel()
	for version, ok := range map[string]bool{
		"2.6.12-1+deb12u4": true, "2.6": true, "3.1-dev3": true, "10.0.1": true,
		"2.5.14": false, "1.8.30": false, "": false, "new": false, "x.y.z": false,
	} {
		if err := checkVersion(version); (err == nil) != ok || (err != nil && !errors.Is(err, ErrVersion)) {
			t.Errorf("version %q: %v", version, err)
		}
	}
	if v := versionOf("HAProxy version 2.6.12-1+deb12u4 2026/10/17 - https://haproxy.org/\n"); v != "2.6.12-1+deb12u4" {
		t.Errorf("%q", v)
	}
}

func TestParseRecord(t *testing.T) {
	t.Parallel()
	p := newParser()
	for line, want := range map[string]Record{
		"web a1 200 -- 3 2512 - -":          {Service: "web", Slot: "a1", Status: 200, Micros: 2512, Termination: "--"},
		"web a1 200 -- 3 2512 b1 /\n":       {Service: "web", Slot: "a1", Status: 200, Micros: 2512, Termination: "--", Want: "b1", Path: []byte("/")},
		"web <NOSRV> 503 SC 1001 - b2 /a/b": {Service: "web", Status: 503, Micros: 1001000, Termination: "SC", Want: "b2", Path: []byte("/a/b")},
		"web b1 -1 CD -1 - b1 *":            {Service: "web", Slot: "b1", Status: -1, Micros: -1, Termination: "CD", Want: "b1"},
		"my-web_2 b1 504 sH 60000 - b1 -":   {Service: "my-web_2", Slot: "b1", Status: 504, Micros: 60000000, Termination: "sH", Want: "b1"},
		"web a1 200 -- 3 2512 - /x web a1 \x00\xff\n": {
			Service: "web", Slot: "a1", Status: 200, Micros: 2512, Termination: "--", Path: []byte("/x web a1 \x00\xff"),
		},
		"web a1 200 -- 3 2512 - /" + strings.Repeat("y", 500): {
			Service: "web", Slot: "a1", Status: 200, Micros: 2512, Termination: "--", Path: []byte("/" + strings.Repeat("y", MaxPath-1)),
		},
	} {
		if got, ok := p.parse([]byte(line)); !ok || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %+v, %v", line, got, ok)
		}
	}
	for _, line := range []string{
		"", "web", "web a1 200 -- 3 2512", "web a1 200 -- 3 2512 -", "web a1 200 -- 3 2512 - ", "web a1 2x0 -- 3 2512 - -",
		"- a1 200 -- 3 2512 - -", "web a1 200 --- 3 2512 - -", "web a1 200 -- x y - -", "we\x00b a1 200 -- 3 2512 - -",
		"web a1 99999999999999999999 -- 3 2512 - /",
	} {
		if got, ok := p.parse([]byte(line)); ok {
			t.Errorf("%q: accepted as %+v", line, got)
		}
	}
}

func TestParseRecordDoesNotAllocate(t *testing.T) {
	p := newParser()
	line := []byte("web a1 200 -- 3 2512 b1 /api/v1")
	p.parse(line)
	if n := testing.AllocsPerRun(100, func() { p.parse(line) }); n != 0 {
		t.Errorf("%v allocations per line", n)
	}
}

func FuzzParseRecord(f *testing.F) {
	f.Add([]byte("web a1 200 -- 3 2512 b1 /api/v1"))
	f.Add([]byte("web <NOSRV> 503 SC 1001 - - -"))
	f.Fuzz(func(t *testing.T, line []byte) {
		rec, ok := newParser().parse(line)
		if ok && (!backendName.MatchString(rec.Service) || len(rec.Termination) > 2 || len(rec.Path) > MaxPath) {
			t.Errorf("%q: %+v", line, rec)
		}
	})
}

func FuzzReadFrame(f *testing.F) {
	f.Add("31 web a1 200 -- 3 2512 b1 /api/v1")
	f.Add("99999 x")
	f.Fuzz(func(t *testing.T, stream string) {
		r := bufio.NewReaderSize(strings.NewReader(stream), 64<<10)
		for {
			frame, err := readFrame(r)
			if err != nil {
				return
			}
			if len(frame) == 0 || len(frame) > maxFrame {
				t.Fatalf("frame of %d bytes", len(frame))
			}
			if _, err := r.Discard(len(frame)); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func BenchmarkParseRecord(b *testing.B) {
	p := newParser()
	line := []byte("web a1 200 -- 3 2512 b1 /api/v1")
	b.ReportAllocs()
	for b.Loop() {
		p.parse(line)
	}
}

// BenchmarkTail takes lines from a connection, as Tail does.
func BenchmarkTail(b *testing.B) {
	const line = "web a1 200 -- 3 2512 b1 /api/v1"
	batch := []byte(strings.Repeat(strconv.Itoa(len(line))+" "+line, 1000))
	ours, theirs := net.Pipe()
	seen := 0
	t := &tailer{
		emit: func(Record) { seen++ }, parser: newParser(),
		known: func(string) bool { return true },
	}
	b.ReportAllocs()
	go func() {
		for range (b.N + 999) / 1000 {
			if _, err := theirs.Write(batch); err != nil {
				break
			}
		}
		_ = theirs.Close()
	}()
	t.serve(b.Context(), ours)
	if seen < b.N {
		b.Errorf("%d lines of %d", seen, b.N)
	}
	b.ReportMetric(float64(seen)/b.Elapsed().Seconds(), "lines/s")
}

// What render writes, parseFile reads.
func TestRenderRoundTrip(t *testing.T) {
	t.Parallel()
	m := &Managed{maxConn: 100, logAddr: "127.0.0.1:20001"}
	m.cfg = Config{Dir: "/var/lib/serin", Slots: 2}
	v := &view{services: map[string]entry{
		"web": {
			Service: Service{Name: "web", Listen: ":80", Sticky: true, HealthPath: "/healthz", StrictPost: true, Timeout: 5e9},
			slots: map[string]server{
				"a1": {addr: netip.MustParseAddrPort("172.17.0.2:8080"), state: Ready, weight: 100},
				"b1": {addr: netip.MustParseAddrPort("[fd00::2]:8080"), state: Down},
				"b2": {addr: netip.MustParseAddrPort("172.17.0.3:8080"), state: Drain, weight: 50},
			},
		},
		"api": {Service: Service{Name: "api", Listen: "[::1]:81"}, slots: map[string]server{}},
	}}
	text, print1, err := m.render(v)
	if err != nil {
		t.Fatal(err)
	}
	back, logAddr, err := parseFile(string(text))
	if err != nil || logAddr != m.logAddr {
		t.Fatalf("%q, %v", logAddr, err)
	}
	again, print2, err := m.render(back)
	if err != nil || string(again) != string(text) || print1 != print2 {
		t.Errorf("render, parse, render:\n%s\n%s", text, again)
	}
	if w := back.services["web"]; w.slots["b2"].weight != 0 || !w.slots["b1"].attached() || w.Service != v.services["web"].Service {
		t.Errorf("%+v", w)
	}
	delete(back.services, "api")
	if _, print3, err := m.render(back); err != nil || print3 == print1 {
		t.Errorf("another set of services, but the fingerprint is the same: %v", err)
	}
}

func TestParseFileRefusesOthers(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"global\n", header + "\n" + markService + "{", header + "\nbackend web\n    server a1 127.0.0.1:1 weight 0 check\n",
	} {
		if _, _, err := parseFile(text); !errors.Is(err, ErrForeignFile) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestFileIsWrittenOnlyIfItChanged(t *testing.T) {
	t.Parallel()
	f := file{path: t.TempDir() + "/x"}
	if text, err := f.load(); text != "" || err != nil {
		t.Fatalf("%q, %v", text, err)
	}
	for _, text := range []string{"one", "one", "two"} {
		if err := f.save([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(f.path); err != nil || string(got) != text {
			t.Fatalf("%q, %v", got, err)
		}
	}
	if err := os.Remove(f.path); err != nil {
		t.Fatal(err)
	}
	if err := f.save([]byte("two")); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(f.path); err == nil {
		t.Error("written, though nothing changed")
	}
}
