package docker

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"unicode/utf8"
)

// maxEnvLine bounds one line of an env file, in bytes.
const maxEnvLine = 1 << 20

// Private

// readEnvFile reads variables as `docker run --env-file` does: one NAME=value
// a line, taken verbatim (quotes too); blanks before the name, empty lines and
// lines that start with # are skipped; a NAME alone takes the value that this
// process has for it, if any. Its errors show no values, which may be secrets.
func readEnvFile(path string) (map[string]string, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("env file: %w: create it on this host, or take it out of the specification", err)
	}
	if err != nil {
		return nil, fmt.Errorf("env file: %w", err)
	}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")) // byte order mark
	lines := bufio.NewScanner(bytes.NewReader(data))
	lines.Buffer(nil, maxEnvLine)
	env := map[string]string{}
	n := 0
	for lines.Scan() {
		n++
		name, value, err := parseEnvLine(lines.Text())
		switch {
		case err != nil:
			return nil, fmt.Errorf("env file %s, line %d: %w", path, n, err)
		case name != "":
			env[name] = value
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("env file %s, line %d: %w", path, n+1, err)
	}
	return env, nil
}

// parseEnvLine gives no name for a line that sets nothing.
func parseEnvLine(line string) (name, value string, err error) {
	if !utf8.ValidString(line) {
		return "", "", errors.New("not valid UTF-8")
	}
	line = strings.TrimLeft(line, " \t")
	if line == "" || strings.HasPrefix(line, "#") {
		return "", "", nil
	}
	name, value, set := strings.Cut(line, "=")
	switch {
	case name == "":
		return "", "", errors.New("no variable name before the =")
	case strings.ContainsAny(name, " \t"):
		return "", "", errors.New("the variable's name contains a blank")
	case set:
		return name, value, nil
	}
	value, set = os.LookupEnv(name)
	if !set {
		return "", "", nil
	}
	return name, value, nil
}
