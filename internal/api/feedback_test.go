package api_test

import (
	"strings"
	"testing"

	"github.com/serin-rollouts/serin/internal/api"
)

func TestParseFeedback(t *testing.T) {
	for text, want := range map[string]string{
		`{"revision":"1.4.0"}`:                                       "",
		`{"revision":"1.4.0","kind":"complaint","count":10000}`:      "",
		`{"kind":"complaint"}`:                                       "revision is missing",
		`{"revision":"1","count":-1}`:                                "count is -1",
		`{"revision":"1","count":10001}`:                             "count is 10001",
		`{"revision":"` + strings.Repeat("x", 513) + `"}`:            "revision is longer",
		`{"revision":"1","kind":"` + strings.Repeat("x", 513) + `"}`: "kind is longer",
		`complaint`: "no feedback",
	} {
		_, err := api.ParseFeedback([]byte(text))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: %v, want %q", text, err, want)
		}
	}
}
