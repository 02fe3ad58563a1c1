// Package config fills a daemon's configuration struct from a YAML file, the environment and flags.
//
// The struct is the only place that names a key. From the yaml tag of a field (nats.url, if it stands in a
// nested struct) follow its environment variable (SERIN_NATS_URL) and its flag (--nats-url); the doc tag is
// the flag's help; the value that the field has before Load is the default. A flag beats the environment,
// which beats the file, which beats the default; lists and maps replace each other as a whole.
//
//	cfg := Config{Host: hostname, NATS: NATS{URL: "nats://127.0.0.1:4222"}}
//	settings, err := config.Load(flags, os.Args[1:], os.Environ(), &cfg)
//	...
//	if settings.PrintConfig {
//		return settings.Print(os.Stdout)
//	}
//	if cfg.NATS.URL == "" {
//		return settings.At("nats.url", errors.New("must not be empty")) // shows where it was emptied
//	}
//
// Nothing is guessed: an unknown key, a wrong type or unit, a key written twice stops the start, with the
// line and a caret under the place.
package config

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/token"
	"github.com/spf13/pflag"
)

// Names that do not come from the struct.
const (
	envPrefix       = "SERIN_"
	configFlag      = "config"
	printConfigFlag = "print-config"
)

// Loader knows a configuration struct and the flags that were defined for it.
type Loader struct {
	flags  *pflag.FlagSet
	fields []field
	given  map[string]*flagValue // by the field's key
	before string                // where the values come from that nothing overrides; empty: they are defaults
}

// Settings are the values that a Load ended with, and where each came from.
type Settings struct {
	// PrintConfig is set when --print-config was given: the caller prints the settings and ends.
	PrintConfig bool

	file    string // its name, or "" if there was none
	fields  []field
	origins map[string]origin // by key; defaults have none
}

// origin is where a value comes from: a file, if token is set; else what name says.
type origin struct {
	name  string
	token *token.Token
}

// Load defines the flags for cfg in flags, parses args and fills cfg, which points to a struct. It is what
// a program needs that does not hand its command line to another parser. With --help the error is pflag.ErrHelp.
func Load(flags *pflag.FlagSet, args, environ []string, cfg any) (Settings, error) {
	l, err := Define(flags, cfg)
	if err != nil {
		return Settings{}, err
	}
	if err := flags.Parse(args); err != nil {
		return Settings{}, err
	}
	return l.Load(environ)
}

// Define adds to flags one flag for each field of the struct that cfg points to, and --config and
// --print-config. Fields may be string, bool, int, time.Duration, []string, map[string]string, or structs
// of such; those without a yaml tag are left alone. An error is a mistake in the struct, not of the user.
func Define(flags *pflag.FlagSet, cfg any) (*Loader, error) {
	v := reflect.ValueOf(cfg)
	if v.Kind() != reflect.Pointer || v.Elem().Kind() != reflect.Struct {
		return nil, fmt.Errorf("configuration is a %T, not a pointer to a struct", cfg)
	}
	fields, err := fieldsOf(v.Elem(), "")
	if err != nil {
		return nil, err
	}
	flags.String(configFlag, "", "YAML `file` with the configuration (env "+envPrefix+"CONFIG)")
	flags.Bool(printConfigFlag, false, "print each value and where it comes from, then end")
	l := &Loader{flags: flags, fields: fields, given: make(map[string]*flagValue, len(fields))}
	for _, f := range fields {
		if flags.Lookup(f.flag()) != nil {
			return nil, fmt.Errorf("key %s: there is already a flag --%s", f.key, f.flag())
		}
		value := newFlagValue(f)
		flag := flags.VarPF(value, f.flag(), "", fmt.Sprintf("%s (env %s)", f.doc, f.env()))
		if value.isBool() {
			flag.NoOptDefVal = "true"
		}
		l.given[f.key] = value
	}
	return l, nil
}

// Presume says where the values come from that the struct has before Load, if they
// are no defaults: Origin tells it of those that nothing overrides.
func (l *Loader) Presume(from string) { l.before = from }

// Load fills the struct. The flags must have been parsed; environ has the form of os.Environ. An empty
// variable counts as one that is not set. On an error the struct is filled in part.
func (l *Loader) Load(environ []string) (Settings, error) {
	env := lookup(environ)
	s := Settings{fields: l.fields, origins: l.presumed()}
	s.PrintConfig, _ = l.flags.GetBool(printConfigFlag)
	s.file, _ = l.flags.GetString(configFlag)
	if s.file == "" {
		s.file = env[envPrefix+"CONFIG"]
	}
	if s.file != "" {
		if err := s.readFile(); err != nil {
			return Settings{}, err
		}
	}
	for _, f := range l.fields {
		if text := env[f.env()]; text != "" {
			s.origins[f.key] = origin{name: "env " + f.env()}
			if err := parse(f.value, text); err != nil {
				return Settings{}, s.At(f.key, err)
			}
		}
		if l.flags.Changed(f.flag()) {
			s.origins[f.key] = origin{name: "flag --" + f.flag()}
			f.value.Set(l.given[f.key].value)
		}
	}
	return s, nil
}

// At returns err with the place that gave key its value: file, line and caret, the variable or the flag.
// It is for checks that only the caller can make.
func (s Settings) At(key string, err error) error {
	o, ok := s.origins[key]
	switch {
	case ok && o.token != nil:
		return s.atToken(o.token, fmt.Errorf("%s: %w", key, err))
	case ok:
		return fmt.Errorf("%s: %w", o.name, err)
	default:
		f := field{key: key}
		return fmt.Errorf("%s: %w (set it in the file, by %s or by --%s)", key, err, f.env(), f.flag())
	}
}

// Point returns an error that begins with a key, such as "raft.listen: is no address", as At does; any other
// as it is.
func (s Settings) Point(err error) error {
	if err == nil {
		return nil
	}
	key, rest, found := strings.Cut(err.Error(), ": ")
	if !found || !slices.ContainsFunc(s.fields, func(f field) bool { return f.key == key }) {
		return err
	}
	return s.At(key, errors.New(rest))
}

// Origin says in a few words where key's value comes from: "default", "file agent.yaml:3",
// "env SERIN_NATS_URL" or "flag --nats-url".
func (s Settings) Origin(key string) string {
	o, ok := s.origins[key]
	switch {
	case !ok:
		return "default"
	case o.token != nil:
		return fmt.Sprintf("file %s:%d", s.file, o.token.Position.Line)
	default:
		return o.name
	}
}

// Private

// presumed are the origins of the values that the struct has before Load.
func (l *Loader) presumed() map[string]origin {
	all := make(map[string]origin)
	for _, f := range l.fields {
		if l.before != "" && !f.value.IsZero() {
			all[f.key] = origin{name: l.before}
		}
	}
	return all
}

func (s Settings) readFile() error {
	data, err := os.ReadFile(s.file)
	if err != nil {
		return fmt.Errorf("read configuration: %w", err)
	}
	return s.decode(data)
}

func lookup(environ []string) map[string]string {
	env := make(map[string]string, len(environ))
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		env[name] = value
	}
	return env
}
