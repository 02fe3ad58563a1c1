package localfleet

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"
)

// TestManners: a version that is late answers, only later, and one that hangs
// does not; both are ready, and only one that is deaf goes on when told to end.
func TestManners(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const late, patience = time.Second, time.Minute
		ask := func(m Manners, path string) (took time.Duration, body string) {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			w, began := httptest.NewRecorder(), time.Now()
			r := httptest.NewRequest(http.MethodGet, path, nil).WithContext(ctx)
			r.Header.Set(NumberHeader, "1")
			Version{Tag: "v1", Manners: m}.handler(func() {}, &conduct{Manners: m}).ServeHTTP(w, r)
			return time.Since(began), w.Body.String()
		}
		usual, body := ask(Manners{}, "/")
		if took, got := ask(Manners{Late: late}, "/"); took != usual+late || got != body || body == "" {
			t.Errorf("late: %q in %s, want %q in %s", got, took, body, usual+late)
		}
		if took, got := ask(Manners{Hangs: true}, "/"); took != patience || got != "" {
			t.Errorf("hangs: %q in %s", got, took)
		}
		if took, _ := ask(Manners{Hangs: true, Late: late}, HealthPath); took != 0 {
			t.Errorf("proves readiness in %s", took)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		for _, deaf := range []bool{false, true} {
			c := conduct{Manners: Manners{Deaf: deaf}}
			select {
			case <-c.told(ctx):
				if deaf {
					t.Error("it is deaf, and ends when told to")
				}
			case <-time.After(patience):
				if !deaf {
					t.Error("it does not end when told to")
				}
			}
		}
	})
}
