package trace

import (
	"testing"

	"pgregory.net/rapid"
)

func TestParse(t *testing.T) {
	const place = "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7"
	for text, want := range map[string]string{
		"00-" + place + "-01":      "00-" + place + "-01",
		"00-" + place + "-00":      "00-" + place + "-00",
		"00-" + place + "-03":      "00-" + place + "-01", // what else is flagged is not ours
		"cc-" + place + "-01-more": "00-" + place + "-01", // of a later version
		"00-" + place + "-01-more": "",
		"ff-" + place + "-01":      "",
		"00-" + place:              "",
		"0-" + place + "-01":       "",
		"00-" + place + "-1":       "",
		"00-" + place + "-zz":      "",
		"":                         "",
		"nonsense":                 "",
		"00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01": "",
		"00-00000000000000000000000000000000-00f067aa0ba902b7-01": "",
		"00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01": "",
		"00-4bf92f3577b34da6a3ce929d0e0e473-000f067aa0ba902b7-01": "",
	} {
		c, ok := Parse(text)
		if got := c.String(); got != want || ok != (want != "") {
			t.Errorf("%q is read as %q, %v; want %q", text, got, ok, want)
		}
	}
}

func TestContextRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := Context{Sampled: rapid.Bool().Draw(t, "sampled")}
		copy(c.Trace[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "trace"))
		copy(c.Span[:], rapid.SliceOfN(rapid.Byte(), 8, 8).Draw(t, "span"))
		got, ok := Parse(c.String())
		if ok != c.Valid() || ok && got != c {
			t.Fatalf("%v became %v, %v", c, got, ok)
		}
	})
}
