package docker

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/distribution/reference"
	"github.com/docker/docker/api/types/registry"
)

// errCredentials says that the credentials for a registry could not be read.
// Asking without them could only fail with a misleading answer.
var errCredentials = errors.New("registry credentials")

// Private

// credentialsFor is the encoded login for the registry of an image, or "" if
// none is configured.
func (e *Engine) credentialsFor(named reference.Named) (string, error) {
	path := e.cfg.RegistryConfig
	if path == "" {
		return "", nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("%w: %w", errCredentials, err)
	}
	var file struct {
		Auths map[string]registry.AuthConfig `json:"auths"`
	}
	if err := json.Unmarshal(data, &file); err != nil {
		return "", fmt.Errorf("%w: %s is not in the format of Docker's config.json: %w", errCredentials, path, err)
	}
	domain := reference.Domain(named)
	for key, login := range file.Auths {
		if registryOf(key) != domain {
			continue
		}
		encoded, err := encodeLogin(login)
		if err != nil {
			return "", fmt.Errorf("%w: %s, entry %s: %w", errCredentials, path, key, err)
		}
		return encoded, nil
	}
	return "", nil
}

// registryOf is the host[:port] that a key of "auths" is for. Old entries are
// URLs, and the default registry is named there with an "index." before it.
func registryOf(key string) string {
	if _, after, ok := strings.Cut(key, "://"); ok {
		key = after
	}
	host, _, _ := strings.Cut(key, "/")
	return strings.TrimPrefix(host, "index.")
}

// encodeLogin writes a login as the daemon wants it: user and password apart,
// where the file joins them.
func encodeLogin(login registry.AuthConfig) (string, error) {
	if login.Auth != "" {
		joined, err := base64.StdEncoding.DecodeString(login.Auth)
		if err != nil {
			return "", errors.New("auth is not base64")
		}
		user, password, ok := strings.Cut(string(joined), ":")
		if !ok {
			return "", errors.New("auth is not user:password")
		}
		login.Username, login.Password, login.Auth = user, strings.TrimRight(password, "\x00"), ""
	}
	return registry.EncodeAuthConfig(login)
}
