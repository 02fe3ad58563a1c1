package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/serin-rollouts/serin/internal/durable"
)

// contexts is the file with the groups of coordinators that an operator works
// with, by name.
type contexts struct {
	Current  string         `json:"current,omitempty" yaml:"current"`
	Contexts map[string]way `json:"contexts" yaml:"contexts"`

	file string
}

// way is how to reach one of them: the settings of the same names. Paths that do
// not begin with a slash are below the file's directory.
type way struct {
	Server urls   `json:"server,omitempty" yaml:"server"`
	Creds  string `json:"creds,omitempty" yaml:"creds"`
	CA     string `json:"ca,omitempty" yaml:"ca"`
	Cert   string `json:"cert,omitempty" yaml:"cert"`
	Key    string `json:"key,omitempty" yaml:"key"`
}

// urls is a list, or a text with commas.
type urls []string

// UnmarshalYAML implements yaml.InterfaceUnmarshaler.
func (u *urls) UnmarshalYAML(read func(any) error) error {
	var list []string
	if err := read(&list); err == nil {
		*u = list
		return nil
	}
	var text string
	if err := read(&text); err != nil {
		return err
	}
	for part := range strings.SplitSeq(text, ",") {
		*u = append(*u, strings.TrimSpace(part))
	}
	return nil
}

// contextsFile is where contexts are kept.
func contextsFile(env func(string) string) string {
	return filepath.Join(cmp.Or(env("XDG_CONFIG_HOME"), filepath.Join(env("HOME"), ".config")), "serin", "contexts.yaml")
}

// readContexts reads the file; one that is not there has no contexts.
func readContexts(file string) (contexts, error) {
	c := contexts{file: file}
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err == nil {
		err = yaml.UnmarshalWithOptions(text, &c, yaml.Strict())
	}
	if err != nil {
		return c, usagef("%s: %v", file, err)
	}
	return c, nil
}

// find returns the context of that name, with its paths made absolute.
func (c contexts) find(name string) (way, error) {
	w, ok := c.Contexts[name]
	switch {
	case ok:
	case len(c.Contexts) == 0:
		return w, usagef("context %q: %s has none; `serin context --help` shows how to write one", name, c.file)
	default:
		return w, usagef("context %q: is not in %s; known are %s", name, c.file, strings.Join(c.names(), ", "))
	}
	if len(w.Server) == 0 {
		return w, usagef("context %q: server is missing in %s; write the URLs of its bus there", name, c.file)
	}
	for _, path := range []*string{&w.Creds, &w.CA, &w.Cert, &w.Key} {
		if *path != "" && !filepath.IsAbs(*path) {
			*path = filepath.Join(filepath.Dir(c.file), *path)
		}
	}
	return w, nil
}

func (c contexts) names() []string { return slices.Sorted(maps.Keys(c.Contexts)) }

// use makes a context the current one, and changes nothing else of the file.
func (c contexts) use(name string) error {
	if _, err := c.find(name); err != nil {
		return err
	}
	text, err := os.ReadFile(c.file)
	if err != nil {
		return fmt.Errorf("read contexts: %w", err)
	}
	line := []byte(fmt.Sprintf("current: %q", name))
	old := regexp.MustCompile(`(?m)^current:.*$`)
	if old.Match(text) {
		text = old.ReplaceAllLiteral(text, line)
	} else {
		text = slices.Concat(line, []byte("\n"), text)
	}
	if err := durable.Write(c.file, text); err != nil {
		return fmt.Errorf("write contexts: %w", err)
	}
	return nil
}

// settings are the context's, as if a file had them.
func (w way) settings() settings {
	return settings{Server: w.Server, Creds: w.Creds, CA: w.CA, Cert: w.Cert, Key: w.Key}
}
