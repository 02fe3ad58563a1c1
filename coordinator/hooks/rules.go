package hooks

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/serin-rollouts/serin/internal/bus"
)

// leastSecret is how many characters a secret has at least.
const leastSecret = 16

// Rules say what becomes of pushes.
type Rules struct {
	secret []byte
	rules  []rule
}

// file is the rules as they are written.
type file struct {
	SecretFile string `yaml:"secret_file"`
	Rules      []rule `yaml:"rules"`
}

// rule is one row: a push of repository:tag is a trigger for service.
type rule struct {
	// Repository is a pattern of a name with its registry, as path.Match takes
	// it: * stands for anything but a slash.
	Repository string `yaml:"repository"`
	// Tag is a pattern; empty stands for any tag.
	Tag     string `yaml:"tag"`
	Service string `yaml:"service"`
	// Registry is the name by which hosts know the registry, if it is another
	// than the push came to.
	Registry string `yaml:"registry"`
	// Replace aborts a rollout that is under way.
	Replace bool `yaml:"replace"`
}

// Load reads a file of rules, and the secret that it names.
func Load(name string) (*Rules, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("hooks: %w", err)
	}
	var f file
	if err := yaml.UnmarshalWithOptions(text, &f, yaml.Strict()); err != nil {
		return nil, fmt.Errorf("hooks: %s: %w", name, err)
	}
	if f.SecretFile == "" {
		return nil, fmt.Errorf("hooks: %s: secret_file: is missing; name a file with what only the registries know", name)
	}
	secret, err := os.ReadFile(f.SecretFile)
	if err != nil {
		return nil, fmt.Errorf("hooks: secret_file: %w", err)
	}
	secret = bytes.TrimSpace(secret)
	if len(secret) < leastSecret {
		return nil, fmt.Errorf("hooks: secret_file: %s has %d characters; %d are the least", f.SecretFile, len(secret), leastSecret)
	}
	if len(f.Rules) == 0 {
		return nil, fmt.Errorf("hooks: %s: rules: there are none; a push would be for nobody", name)
	}
	for i, r := range f.Rules {
		if err := r.validate(); err != nil {
			return nil, fmt.Errorf("hooks: %s: rules[%d].%w", name, i, err)
		}
	}
	return &Rules{secret: secret, rules: f.Rules}, nil
}

// Private

func (r rule) validate() error {
	if r.Repository == "" {
		return errors.New("repository: is missing; write a pattern such as registry.example.com/checkout")
	}
	if !strings.Contains(r.Repository, "/") {
		return fmt.Errorf("repository: %q names no registry; write registry.example.com/%s, or docker.io/library/%s", r.Repository, r.Repository, r.Repository)
	}
	for field, pattern := range map[string]string{"repository": r.Repository, "tag": r.Tag} {
		if _, err := path.Match(pattern, ""); err != nil {
			return fmt.Errorf("%s: %q is no pattern: %w", field, pattern, err)
		}
	}
	if err := bus.ValidToken(r.Service); err != nil {
		return fmt.Errorf("service: %w", err)
	}
	return nil
}

// takes tells whether a push is one that the rule is for.
func (r rule) takes(p push) bool {
	// The patterns are known to be well formed.
	name, _ := path.Match(r.Repository, p.registry+"/"+p.repository)
	tag, _ := path.Match(r.Tag, p.tag)
	return name && (r.Tag == "" || tag)
}

// image is what the hosts are to pull.
func (r rule) image(p push) string {
	registry := p.registry
	if r.Registry != "" {
		registry = r.Registry
	}
	name := registry + "/" + p.repository + ":" + p.tag
	if p.digest != "" {
		name += "@" + p.digest
	}
	return name
}
