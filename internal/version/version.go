// Package version says which build a program is.
package version

import (
	"regexp"
	"strings"
)

// Semantic turns what the linker was given (a tag, or what git describes) into
// a semantic version, as the bus wants it: v1.2.3 is 1.2.3, and 4bf92f3-dirty
// is 0.0.0-4bf92f3-dirty.
func Semantic(linked string) string {
	plain := strings.TrimPrefix(linked, "v")
	if regexp.MustCompile(`^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.-]+)?$`).MatchString(plain) {
		return plain
	}
	rest := regexp.MustCompile(`[^0-9A-Za-z-]+`).ReplaceAllString(plain, "-")
	// A numeric identifier must not begin with 0; a letter before it makes it none.
	return "0.0.0-g" + strings.TrimPrefix(strings.Trim(rest, "-"), "g")
}
