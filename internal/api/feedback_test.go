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
		{"revision: is missing", `{"kind":"complaint"}`},
		{"revision: is a number; want a string", `{"revision":1.4}`},
		{"count: is a string; want a int64", `{"revision":"1","count":"3"}`},
		{"count: is -1", `{"revision":"1","count":-1}`},
		{"count: is 10001", `{"revision":"1","count":10001}`},
		{"revision: is longer", `{"revision":"` + long + `"}`},
		{"kind: is longer", `{"revision":"1","kind":"` + long + `"}`},
		{"feedback: invalid character", `complaint`},
		{"feedback: EOF", ``},
		{"feedback: something follows", `{"revision":"1"} {"revision":"1"}`},
		{`feedback: json: unknown field "revison"; send {"revision": `, `{"revison":"1.4.0"}`},
	} {
		_, problem := api.ParseFeedback([]byte(c.text))
		if (problem == nil) != (c.want == "") || problem != nil && !strings.HasPrefix(problem.Error(), c.want) {
			t.Errorf("%.60s: %v, want %q", c.text, problem, c.want)
		}
	}
}
