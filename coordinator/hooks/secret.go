package hooks

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net/http"
	"strings"
)

// Private

// same compares in a time that tells nothing, not even the length.
func (r *Rules) same(said string) bool {
	want, got := sha256.Sum256(r.secret), sha256.Sum256([]byte(said))
	return subtle.ConstantTimeCompare(want[:], got[:]) == 1
}

// bearer wants the secret in the header Authorization, as the distribution
// registry sends headers that it is given.
func (r *Rules) bearer(req *http.Request, _ []byte) bool {
	said, ok := strings.CutPrefix(req.Header.Get("Authorization"), "Bearer ")
	return ok && r.same(said)
}

// inQuery wants the secret in the URL: Docker Hub has no other place for it.
func (r *Rules) inQuery(req *http.Request, _ []byte) bool {
	return r.same(req.URL.Query().Get("secret"))
}

// signed wants the body's HMAC, as GitHub makes it.
func (r *Rules) signed(req *http.Request, body []byte) bool {
	said, ok := strings.CutPrefix(req.Header.Get("X-Hub-Signature-256"), "sha256=")
	signature, err := hex.DecodeString(said)
	if !ok || err != nil {
		return false
	}
	mac := hmac.New(sha256.New, r.secret)
	mac.Write(body)
	return hmac.Equal(mac.Sum(nil), signature)
}
