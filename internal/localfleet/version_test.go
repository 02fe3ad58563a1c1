package localfleet

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"
)

// TestVersions: what each of the demo's versions makes of the same requests.
// Latencies are v1's but for v4's p99, errors v3's.
func TestVersions(t *testing.T) {
	const requests = 100_000
	took, bad := map[string][]time.Duration{}, map[string]int{}
	for _, v := range Versions() {
		for n := range uint64(requests) {
			r := v.Reply(n)
			took[v.Tag] = append(took[v.Tag], r.Took)
			if r.Bad {
				bad[v.Tag]++
			}
		}
		slices.Sort(took[v.Tag])
	}
	if !slices.Equal(took["v1"], took["v2"]) {
		t.Error("v1 and v2 answer differently")
	}
	for tag, all := range took {
		if share := float64(bad[tag]) / requests; tag == "v3" && (share < .048 || share > .052) || tag != "v3" && share > 0 {
			t.Errorf("%s: %.4f errors", tag, share)
		}
		p50, p99 := all[requests/2], all[requests/100*99]
		slower := float64(p99) / float64(took["v1"][requests/100*99])
		if p50 < 12*time.Millisecond || p50 > 13*time.Millisecond || tag != "v4" && slower != 1 {
			t.Errorf("%s: p50 %s, p99 %s", tag, p50, p99)
		}
		if tag == "v4" && (slower < 1.29 || slower > 1.31) {
			t.Errorf("v4: p99 is %.3f times v1's", slower)
		}
	}
}

// TestAnswers: a request takes as long as its number says, is an error if its
// number says so, and one for readiness takes no time and begins no leak.
func TestAnswers(t *testing.T) {
	v := Version{Tag: "v3", ErrorPercent: 5}
	synctest.Test(t, func(t *testing.T) {
		served, statuses := 0, map[int]int{}
		h := v.handler(func() { served++ }, new(conduct))
		ask := func(path, number string) (status int, took time.Duration) {
			r := httptest.NewRequest(http.MethodGet, path, nil)
			r.Header.Set(NumberHeader, number)
			w, began := httptest.NewRecorder(), time.Now()
			h.ServeHTTP(w, r)
			if got := w.Header().Get(VersionHeader); got != "v3" {
				t.Errorf("says that it is %q", got)
			}
			return w.Code, time.Since(began)
		}
		for n := range uint64(100) {
			status, took := ask("/", strconv.FormatUint(n, 10))
			statuses[status]++
			want := v.Reply(n)
			if took != want.Took || (status == http.StatusInternalServerError) != want.Bad {
				t.Errorf("request %d: %d in %s, want %+v", n, status, took, want)
			}
		}
		if statuses[200] == 0 || statuses[500] == 0 || served != 100 {
			t.Errorf("%v, %d served", statuses, served)
		}
		if status, took := ask(HealthPath, "x"); status != http.StatusOK || took > 0 || served != 100 {
			t.Errorf("readiness: %d in %s, %d served", status, took, served)
		}
		if _, took := ask("/", "x"); took == 0 {
			t.Error("a request without a number takes no time")
		}
	})
}

// TestBadAt: a version that is bad at one host answers who comes by that with errors,
// and nobody else.
func TestBadAt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for by, want := range map[string]int{"h1": http.StatusOK, "h3": http.StatusInternalServerError, "": http.StatusOK} {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.Header.Set(HostHeader, by)
			w := httptest.NewRecorder()
			Version{Tag: "v9", BadAt: "h3"}.handler(func() {}, new(conduct)).ServeHTTP(w, r)
			if w.Code != want {
				t.Errorf("by %q: %d, want %d", by, w.Code, want)
			}
			w = httptest.NewRecorder()
			Version{Tag: "v1"}.handler(func() {}, new(conduct)).ServeHTTP(w, r)
			if w.Code != http.StatusOK {
				t.Errorf("by %q, of a version that is bad nowhere: %d", by, w.Code)
			}
		}
	})
}

// TestLeak: nothing is lost before the first request, then as much as was said
// in each second, and never more than the machine can bear.
func TestLeak(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLeak(3 << 20)
		go l.run(t.Context())
		lostBy := func(d time.Duration) int64 {
			time.Sleep(d)
			synctest.Wait()
			return l.lost.Load()
		}
		if n := lostBy(time.Minute); n > 0 {
			t.Errorf("%d bytes are lost before the first request", n)
		}
		l.begin()
		l.begin()
		synctest.Wait()
		if n := lostBy(10 * time.Second); n < 29<<20 || n > 30<<20 {
			t.Errorf("%d bytes in 10 s", n)
		}
		if n := lostBy(time.Hour); n < mostLeaked || n > mostLeaked+1<<20 {
			t.Errorf("%d bytes in the end", n)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		none := newLeak(0)
		none.begin()
		none.run(t.Context())
		if none.lost.Load() > 0 {
			t.Error("a version without a leak leaks")
		}
	})
}

// TestLoadNumbersItsRequests: each request has another number, and what was
// answered counts by version, from when it began.
func TestLoadNumbersItsRequests(t *testing.T) {
	const requests = 20
	numbers := make(chan string, 1000)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		numbers <- r.Header.Get(NumberHeader)
		w.Header().Set(VersionHeader, "v1")
	}))
	defer server.Close()
	load := NewLoad([]string{server.URL}, 1000)
	stop := load.Start(t.Context())
	seen := map[string]bool{}
	for range requests {
		n := <-numbers
		if _, err := strconv.ParseUint(n, 10, 64); err != nil || seen[n] {
			t.Errorf("request %q: %v, seen before: %v", n, err, seen[n])
		}
		seen[n] = true
	}
	stop()
	s := load.Take()
	if s.Versions["v1"] < requests || s.Began["v1"].IsZero() || s.Failed+s.AppErrors > 0 {
		t.Errorf("%+v", s)
	}
	if s = load.Take(); s.Requests > 0 || len(s.Began) > 0 {
		t.Errorf("counted twice: %+v", s)
	}
}
