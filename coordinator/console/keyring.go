package console

import (
	"bufio"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"
)

// role is what somebody may do.
type role string

const (
	nobody   role = ""
	viewer   role = "viewer"
	operator role = "operator"
)

// person is whoever asks.
type person struct {
	Name string
	Role role
}

// keyring is the file of tokens. It is read again when it has changed, so that
// taking a line out of it locks somebody out at once.
type keyring struct {
	file string

	mu   sync.Mutex
	seen stamp
	keys []key
}

type key struct {
	person person
	sum    [sha256.Size]byte
}

// stamp tells one version of the file from another.
type stamp struct {
	size, changed int64
	mode          fs.FileMode
}

// find returns whose token it is.
func (k *keyring) find(token string) (person, bool, error) {
	keys, err := k.read()
	if err != nil {
		return person{}, false, err
	}
	sum, found := sha256.Sum256([]byte(token)), person{}
	for _, one := range keys {
		if subtle.ConstantTimeCompare(sum[:], one.sum[:]) == 1 {
			found = one.person
		}
	}
	return found, found.Role != nobody, nil
}

func (k *keyring) read() ([]key, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	info, err := os.Stat(k.file)
	if err != nil {
		return nil, err
	}
	now := stamp{info.Size(), info.ModTime().UnixNano(), info.Mode()}
	if now == k.seen {
		return k.keys, nil
	}
	if now.mode.Perm()&0o007 != 0 {
		return nil, fmt.Errorf("%s may be read by everybody (mode %04o); chmod 640 it", k.file, now.mode.Perm())
	}
	data, err := os.ReadFile(k.file)
	if err != nil {
		return nil, err
	}
	keys, err := parseKeys(string(data))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", k.file, err)
	}
	k.seen, k.keys = now, keys
	return keys, nil
}

// parseKeys reads lines of "name role sha256"; # begins a comment.
func parseKeys(text string) ([]key, error) {
	var keys []key
	lines := bufio.NewScanner(strings.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		line, _, _ := strings.Cut(lines.Text(), "#")
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		if len(words) != 3 {
			return nil, fmt.Errorf("line %d: want a name, a role and the token's SHA-256", n)
		}
		one := key{person: person{words[0], role(words[1])}}
		if one.person.Role != viewer && one.person.Role != operator {
			return nil, fmt.Errorf("line %d: no role %q; known are viewer and operator", n, words[1])
		}
		sum, err := hex.DecodeString(words[2])
		if err != nil || copy(one.sum[:], sum) != sha256.Size || len(sum) != sha256.Size {
			return nil, fmt.Errorf("line %d: %q is no SHA-256: it has 64 hexadecimal digits", n, words[2])
		}
		keys = append(keys, one)
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if len(keys) == 0 {
		return nil, errors.New("names nobody")
	}
	return keys, nil
}
