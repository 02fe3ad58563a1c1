package trace

import (
	"crypto/rand"
	"encoding/hex"
	"strings"
)

// Context is a place in a trace: what the spans below it need to know of it. The
// zero value is no place.
type Context struct {
	Trace [16]byte
	Span  [8]byte
	// Sampled says that whoever made the span records it. What it has not is not
	// recorded below it either.
	Sampled bool
}

// Parse reads W3C's traceparent; false if it is none. What a later version of it
// adds at the end is left out.
func Parse(s string) (Context, bool) {
	parts := strings.Split(s, "-")
	if len(parts) < 4 || len(parts[0]) != 2 || parts[0] == "ff" || parts[0] == "00" && len(parts) != 4 {
		return Context{}, false
	}
	var version, flags [1]byte
	var c Context
	for _, field := range []struct {
		to   []byte
		text string
	}{{version[:], parts[0]}, {c.Trace[:], parts[1]}, {c.Span[:], parts[2]}, {flags[:], parts[3]}} {
		if len(field.text) != 2*len(field.to) || strings.ToLower(field.text) != field.text {
			return Context{}, false
		}
		if _, err := hex.Decode(field.to, []byte(field.text)); err != nil {
			return Context{}, false
		}
	}
	c.Sampled = flags[0]&1 == 1
	return c, c.Valid()
}

// Valid reports whether c is a place.
func (c Context) Valid() bool { return c.Trace != [16]byte{} && c.Span != [8]byte{} }

// Begin returns a new place below another; one at the head of a new trace, if that is
// no place.
func Begin(parent Context) Context {
	c := parent
	if !c.Valid() {
		c = Context{Sampled: true}
		_, _ = rand.Read(c.Trace[:]) // never fails
	}
	_, _ = rand.Read(c.Span[:]) // as above
	return c
}

// String renders c as W3C's traceparent, of 55 characters; "" if it is no place.
func (c Context) String() string {
	if !c.Valid() {
		return ""
	}
	flags := "00"
	if c.Sampled {
		flags = "01"
	}
	return "00-" + hex.EncodeToString(c.Trace[:]) + "-" + hex.EncodeToString(c.Span[:]) + "-" + flags
}
