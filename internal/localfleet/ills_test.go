package localfleet

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
)

// TestIlls: each ill shows on one page, in one number, and users get what they
// get of any version.
func TestIlls(t *testing.T) {
	const requests = 1000
	synctest.Test(t, func(t *testing.T) {
		tell := func(i Ills) (pages []string) {
			v := Version{Tag: "v1", Ills: i}
			h := v.handler(func() {}, new(conduct))
			ask := func(path string, number int) string {
				r := httptest.NewRequest(http.MethodGet, path, nil)
				r.Header.Set(NumberHeader, strconv.Itoa(number))
				w := httptest.NewRecorder()
				h.ServeHTTP(w, r)
				body, err := io.ReadAll(w.Body)
				if err != nil {
					t.Fatal(err)
				}
				return strconv.Itoa(w.Code) + " " + string(body)
			}
			for n := range requests {
				if got := ask("/", n); got != "200 hello from v1\n" {
					t.Fatalf("%+v: users get %q", i, got)
				}
			}
			return append(strings.Split(strings.TrimSpace(ask("/metrics", 0)), "\n"), ask(SelfCheckPath, 0))
		}
		well := tell(Ills{})
		for _, c := range []struct {
			ills Ills
			want []string // the lines that are others
		}{
			{Ills{FailedPercent: 100}, []string{`demo_orders_total{result="done"} 0`, `demo_orders_total{result="failed"} 1000`}},
			{Ills{Queue: 100}, []string{"demo_queue_depth 103"}},
			{Ills{Lag: 60}, []string{"demo_payment_lag_seconds 60"}},
			{Ills{Unwell: true}, []string{"503 unwell\n"}},
		} {
			var other []string
			for k, line := range tell(c.ills) {
				if line != well[k] {
					other = append(other, line)
				}
			}
			if strings.Join(other, "\n") != strings.Join(c.want, "\n") {
				t.Errorf("%+v: %q, want %q", c.ills, other, c.want)
			}
		}
	})
}
