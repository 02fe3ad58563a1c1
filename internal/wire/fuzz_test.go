package wire

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func FuzzDecodeHealth(f *testing.F)   { fuzz(f, "health") }
func FuzzDecodeAssign(f *testing.F)   { fuzz(f, "assign") }
func FuzzDecodeWave(f *testing.F)     { fuzz(f, "wave") }
func FuzzDecodeBeat(f *testing.F)     { fuzz(f, "beat") }
func FuzzDecodeResolve(f *testing.F)  { fuzz(f, "resolve") }
func FuzzDecodeResolved(f *testing.F) { fuzz(f, "resolved") }

// fuzz checks that any bytes are either refused, or are a message that can be
// written again and then means the same.
func fuzz(f *testing.F, name string) {
	f.Helper()
	var c codec
	for _, one := range codecs() {
		if one.name == name {
			c = one
		}
		data, err := one.encode(one.sample)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
		for _, at := range []int{1, len(data) / 3, len(data) / 2, len(data) - 1} {
			f.Add(data[:at])
			f.Add(append(bytes.Clone(data[:at]), append([]byte{data[at] ^ 0x5a}, data[at+1:]...)...))
		}
	}
	f.Add([]byte(nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := c.decode(data)
		if err != nil {
			return
		}
		first, err := c.encode(v)
		if err != nil {
			t.Fatalf("%+v was accepted, but cannot be written: %v", v, err)
		}
		again, err := c.decode(first)
		if err != nil {
			t.Fatalf("%+v was written, but is refused: %v", v, err)
		}
		// Words for people may have been cut by the first encoding, not by the second.
		second, err := c.encode(again)
		if err != nil || !bytes.Equal(first, second) {
			t.Fatalf("written twice, differently (%v):\n%s", err, cmp.Diff(first, second))
		}
	})
}
