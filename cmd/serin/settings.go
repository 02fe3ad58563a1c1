package main

import (
	"errors"
	"os"

	"github.com/spf13/pflag"

	"github.com/serin-rollouts/serin/cmd/serin/client"
	"github.com/serin-rollouts/serin/internal/bus"
	"github.com/serin-rollouts/serin/internal/config"
	"github.com/serin-rollouts/serin/internal/identity"
)

// settings is what a file, the environment or flags say about the way to the
// bus. None of its keys is one of a daemon's: a shell that has an operator's
// variables must not lend the operator's certificate to an agent.
type settings struct {
	Server []string `yaml:"server" doc:"URLs of the bus, comma-separated"`
	Creds  string   `yaml:"creds" doc:"NATS credentials file"`
	CA     string   `yaml:"ca" doc:"file with the authorities of the bus"`
	Cert   string   `yaml:"cert" doc:"file with your certificate, not a daemon's"`
	Key    string   `yaml:"key" doc:"file with its key"`
}

// errPrinted ends a command whose place --print-config has taken.
var errPrinted = errors.New("")

// define adds the settings' flags.
func (a *app) define(flags *pflag.FlagSet) {
	a.settings.Server = []string{defaultServer}
	loader, err := config.Define(flags, &a.settings)
	if err != nil {
		panic(err) // a mistake in the struct above
	}
	a.loader = loader
}

// load fills the settings once the flags are parsed: before a command, and once
// more where a connection is made, since completion parses them later. A context
// is what holds if nothing else is said, but one that a flag names is meant more
// than variables that a shell has had for long.
func (a *app) load() (config.Settings, error) {
	all, err := readContexts(contextsFile(a.env))
	if err != nil {
		return config.Settings{}, err
	}
	a.settings = settings{Server: []string{defaultServer}}
	if name := a.contextName(all); name != "" {
		chosen, err := all.find(name)
		if err != nil {
			return config.Settings{}, err
		}
		a.settings = chosen.settings()
		a.loader.Presume("context " + name)
	}
	environ := os.Environ()
	if a.context != "" {
		environ = nil
	}
	loaded, err := a.loader.Load(environ)
	if err != nil {
		return loaded, usagef("%v", err)
	}
	return loaded, nil
}

// printConfig takes the command's place if --print-config asks for it.
func (a *app) printConfig() error {
	loaded, err := a.load()
	if err != nil || !loaded.PrintConfig {
		return err
	}
	if err := loaded.Print(a.out); err != nil {
		return err
	}
	return errPrinted
}

// client returns how to reach the bus.
func (s settings) client() client.Config {
	return client.Config{Bus: bus.Config{
		URLs: s.Server, Name: "serin cli", Creds: s.Creds,
		TLS: identity.Files{CA: s.CA, Cert: s.Cert, Key: s.Key},
	}}
}
