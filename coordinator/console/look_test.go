package console

import (
	"math"
	"os"
	"regexp"
	"strconv"
	"testing"
)

// TestColoursAreReadable holds the pairs of colours to WCAG 2.2's contrast: 4.5
// for text, 3 for lines.
func TestColoursAreReadable(t *testing.T) {
	css, err := os.ReadFile("assets/console.css")
	if err != nil {
		t.Fatal(err)
	}
	colours := map[string][]string{} // light and dark
	for _, m := range regexp.MustCompile(`--([a-z-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\)`).FindAllStringSubmatch(string(css), -1) {
		colours[m[1]] = m[2:]
	}
	check := func(front, back string, least float64) {
		t.Helper()
		a, b := colours[front], colours[back]
		if a == nil || b == nil {
			t.Fatalf("no colour %s or %s", front, back)
		}
		for k, scheme := range []string{"light", "dark"} {
			if got := contrast(t, a[k], b[k]); got < least {
				t.Errorf("%s: %s on %s has a contrast of %.2f, below %.1f", scheme, front, back, got, least)
			}
		}
	}
	for _, back := range []string{"page", "card"} {
		for _, text := range []string{"ink", "quiet", "accent", "good", "bad", "wait"} {
			check(text, back, 4.5)
		}
		for _, line := range []string{"stable", "canary"} {
			check(line, back, 3)
		}
	}
	check("on-accent", "accent", 4.5)
}

// contrast is WCAG's ratio of two colours, #rrggbb.
func contrast(t *testing.T, a, b string) float64 {
	t.Helper()
	x, y := luminance(t, a), luminance(t, b)
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}

func luminance(t *testing.T, colour string) (sum float64) {
	t.Helper()
	for k, weight := range []float64{0.2126, 0.7152, 0.0722} {
		n, err := strconv.ParseUint(colour[1+2*k:3+2*k], 16, 8)
		if err != nil {
			t.Fatal(err)
		}
		c := float64(n) / 255
		if c <= 0.04045 {
			sum += weight * c / 12.92
		} else {
			sum += weight * math.Pow((c+0.055)/1.055, 2.4)
		}
	}
	return sum
}
