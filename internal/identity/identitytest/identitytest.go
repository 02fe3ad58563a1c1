// Package identitytest makes throw-away certificate authorities and
// identities for tests.
package identitytest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/serin-rollouts/serin/internal/identity"
	"github.com/serin-rollouts/serin/internal/porttest"
)

// lifetime of everything made here: a test, with room for a slow machine.
const lifetime = 24 * time.Hour

// CA is an authority whose files live in a directory of the test.
type CA struct {
	dir  string
	path string
	cert *x509.Certificate
	key  crypto.Signer
}

// New makes an authority. Two calls make two that do not trust each other.
func New(tb testing.TB) *CA {
	tb.Helper()
	ca := &CA{dir: tb.TempDir(), key: newKey(tb)}
	template := newTemplate(tb, "serin test authority")
	template.IsCA = true
	template.BasicConstraintsValid = true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature
	der := sign(tb, template, template, ca.key.Public(), ca.key)
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		tb.Fatalf("parse test authority: %v", err)
	}
	ca.cert = cert
	ca.path = filepath.Join(ca.dir, "ca.pem")
	writePEM(tb, ca.path, "CERTIFICATE", der)
	return ca
}

// Leaf makes an identity for both sides of a link. hosts are the names and
// addresses it may serve as; localhost, 127.0.0.1 and porttest.Host if none is
// given. A second call with the same name replaces the files of the first.
func (ca *CA) Leaf(tb testing.TB, name string, hosts ...string) identity.Files {
	tb.Helper()
	if len(hosts) == 0 {
		hosts = []string{"localhost", "127.0.0.1", porttest.Host()}
	}
	key := newKey(tb)
	template := newTemplate(tb, name)
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
			continue
		}
		template.DNSNames = append(template.DNSNames, h)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		tb.Fatalf("marshal key of %s: %v", name, err)
	}
	files := identity.Files{
		CA:   ca.path,
		Cert: filepath.Join(ca.dir, name+".pem"),
		Key:  filepath.Join(ca.dir, name+".key"),
	}
	writePEM(tb, files.Cert, "CERTIFICATE", sign(tb, template, ca.cert, key.Public(), ca.key))
	writePEM(tb, files.Key, "PRIVATE KEY", pkcs8)
	return files
}

// Private

func newKey(tb testing.TB) crypto.Signer {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatalf("generate key: %v", err)
	}
	return key
}

func newTemplate(tb testing.TB, name string) *x509.Certificate {
	tb.Helper()
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		tb.Fatalf("draw serial: %v", err)
	}
	// An hour back, so that a peer whose clock lags a little accepts it too.
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(lifetime),
	}
}

func sign(tb testing.TB, template, parent *x509.Certificate, pub crypto.PublicKey, signer crypto.Signer) []byte {
	tb.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, pub, signer)
	if err != nil {
		tb.Fatalf("sign %s: %v", template.Subject.CommonName, err)
	}
	return der
}

func writePEM(tb testing.TB, path, kind string, der []byte) {
	tb.Helper()
	data := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
	if err := os.WriteFile(path, data, 0o600); err != nil {
		tb.Fatalf("write %s: %v", path, err)
	}
}
