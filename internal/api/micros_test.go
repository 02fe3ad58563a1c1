package api

import "testing"

func TestMicros(t *testing.T) {
	for m, want := range map[Micros]string{
		0: "-", -1: "-", 50: "0.05ms", 249: "0.25ms", 996: "1ms", 1000: "1ms", 1849: "1.8ms", 9960: "10ms", 182_400: "182ms",
		999_400: "999ms", 999_500: "1s", 2_440_000: "2.4s", 60_000_000: "60s",
	} {
		if got := m.String(); got != want {
			t.Errorf("%d: %s, want %s", m, got, want)
		}
	}
}
