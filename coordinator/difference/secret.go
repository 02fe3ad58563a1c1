package difference

import (
	"net/url"
	"slices"
	"strings"
	"unicode"
)

// Private

// namesSecret tells whether what is called so may be a secret. It rather hides
// too much.
func namesSecret(name string) bool {
	name = strings.ToLower(name)
	for _, part := range []string{"password", "passwd", "passphrase", "secret", "token", "apikey", "accesskey", "privatekey", "credential"} {
		if strings.Contains(name, part) {
			return true
		}
	}
	secret := []string{
		"pass", "pwd", "pw", "pin", "key", "keys", "auth", "authorization", "private", "cred", "creds", "salt", "dsn",
		"cookie", "signature", "jwt", "bearer",
	}
	return slices.ContainsFunc(words(name), func(word string) bool { return slices.Contains(secret, word) })
}

// looksSecret tells whether a value may be a secret, whatever it is called: a URL
// with a password, a key, or characters that no person made up.
func looksSecret(value string) bool {
	if strings.Contains(value, "-----BEGIN") {
		return true
	}
	return slices.ContainsFunc(strings.Fields(value), secretURL) || slices.ContainsFunc(words(value), madeUp)
}

// words are the runs of letters and digits.
func words(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
}

// secretURL tells whether there is a secret in a URL; in one that nobody can read
// there may be.
func secretURL(text string) bool {
	if !strings.Contains(text, "://") {
		return false
	}
	u, err := url.Parse(text)
	if err != nil {
		return strings.Contains(text, "@")
	}
	if u.User != nil {
		return true
	}
	for name := range u.Query() {
		if namesSecret(name) {
			return true
		}
	}
	return false
}

// madeUp tells whether a word is letters and digits as a machine makes them up.
func madeUp(word string) bool {
	const least = 20
	return len(word) >= least && strings.ContainsFunc(word, unicode.IsDigit) && strings.ContainsFunc(word, unicode.IsLetter)
}

// masked is a word of a command without its secrets; before is the word before
// it, which may be an option that names one.
func masked(before, word string) string {
	const mask = "***"
	if strings.ContainsFunc(word, unicode.IsSpace) { // a shell's
		parts := strings.Fields(word)
		shown := make([]string, len(parts))
		for k, part := range parts {
			if k > 0 {
				before = parts[k-1]
			}
			shown[k] = masked(before, part)
		}
		return strings.Join(shown, " ")
	}
	name, value, assigned := strings.Cut(word, "=")
	switch {
	case strings.HasPrefix(before, "-") && !strings.Contains(before, "=") && namesSecret(before):
		return mask
	case assigned && (namesSecret(name) || looksSecret(value)):
		return name + "=" + mask
	case looksSecret(word):
		return mask
	}
	return word
}
