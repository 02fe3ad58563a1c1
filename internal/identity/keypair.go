package identity

import (
	"crypto/tls"
	"fmt"
	"os"
	"sync"
	"time"
)

// keyPair is a certificate with its key that follows the files on disk.
type keyPair struct {
	certPath, keyPath string

	mu      sync.Mutex
	cert    *tls.Certificate
	certMod time.Time
	keyMod  time.Time
}

func newKeyPair(certPath, keyPath string) (*keyPair, error) {
	p := &keyPair{certPath: certPath, keyPath: keyPath}
	certMod, keyMod := modified(certPath), modified(keyPath)
	cert, err := tls.LoadX509KeyPair(certPath, keyPath)
	if err != nil {
		return nil, fmt.Errorf("read tls cert %s and key %s: %w", certPath, keyPath, err)
	}
	p.cert, p.certMod, p.keyMod = &cert, certMod, keyMod
	return p, nil
}

// current returns the pair on disk, or the last good one where the files are
// missing, half-written or do not belong together.
func (p *keyPair) current() *tls.Certificate {
	p.mu.Lock()
	defer p.mu.Unlock()
	certMod, keyMod := modified(p.certPath), modified(p.keyPath)
	if certMod.Equal(p.certMod) && keyMod.Equal(p.keyMod) {
		return p.cert
	}
	cert, err := tls.LoadX509KeyPair(p.certPath, p.keyPath)
	if err != nil {
		return p.cert
	}
	p.cert, p.certMod, p.keyMod = &cert, certMod, keyMod
	return p.cert
}

// modified returns the zero time for a file that cannot be looked at.
func modified(path string) time.Time {
	info, err := os.Stat(path)
	if err != nil {
		return time.Time{}
	}
	return info.ModTime()
}
