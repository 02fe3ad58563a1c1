package api_test

import (
	"strings"
	"testing"

	"github.com/serin-rollouts/serin/internal/api"
)

func TestParseFeedback(t *testing.T) {
	long := strings.Repeat("x", 513)
	for _, c := range []struct{ want, text string }{
		{"", `{"revision":"1.4.0"}`},
		{"", `{"revision":"1.4.0","kind":"complaint","count":10000}`},
		{"revision is missing", `{"kind":"complaint"}`},
		{"count is -1", `{"revision":"1","count":-1}`},
		{"count is 10001", `{"revision":"1","count":10001}`},
		{"revision is longer", `{"revision":"` + long + `"}`},
		{"kind is longer", `{"revision":"1","kind":"` + long + `"}`},
		{"no feedback", `complaint`},
	} {
		_, err := api.ParseFeedback([]byte(c.text))
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.60s: %v, want %q", c.text, err, c.want)
		}
	}
}
