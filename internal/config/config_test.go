package config_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"

	"github.com/serin-rollouts/serin/internal/config"
)

type daemon struct {
	Host   string            `doc:"name of this host" yaml:"host"`
	Labels map[string]string `doc:"labels that rollouts select hosts by" yaml:"labels"`
	NATS   struct {
		URL   string `doc:"NATS server" yaml:"url"`
		Embed bool   `doc:"run a NATS server in this process" yaml:"embed"`
	} `yaml:"nats"`
	Raft struct {
		Peers   []string `doc:"all replicas" yaml:"peers"`
		Timeout struct {
			Election time.Duration `doc:"time without a leader before an election" yaml:"election"`
		} `yaml:"timeout"`
		MaxBatch int `doc:"entries per append" yaml:"max_batch"`
	} `yaml:"raft"`
	Log string `doc:"debug, info, warn or error" yaml:"log"`

	NotConfigured func()
}

func defaults() *daemon {
	d := &daemon{Host: "web-01", Log: "info"}
	d.NATS.URL = "nats://127.0.0.1:4222"
	d.Raft.MaxBatch = 64
	d.Raft.Timeout.Election = time.Second
	return d
}

func newFlags() *pflag.FlagSet {
	flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
	flags.SetOutput(io.Discard)
	return flags
}

// load runs Load with a file of the given text (none if empty), and takes the file's directory out of errors.
func load(t *testing.T, file string, environ, args []string) (*daemon, config.Settings, error) {
	t.Helper()
	t.Chdir(t.TempDir())
	if file != "" {
		if err := os.WriteFile("agent.yaml", []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append([]string{"--config", "agent.yaml"}, args...)
	}
	cfg := defaults()
	settings, err := config.Load(newFlags(), args, environ, cfg)
	return cfg, settings, err
}

func mustLoad(t *testing.T, file string, environ, args []string) (*daemon, config.Settings) {
	t.Helper()
	cfg, settings, err := load(t, file, environ, args)
	if err != nil {
		t.Fatal(err)
	}
	return cfg, settings
}

const everything = `# an agent
host: web-02
labels: {role: web, zone: "1"}
nats:
  url: nats://nats:4222
  embed: true
raft:
  peers:
    - c1=10.0.0.1:7311
    - c2=10.0.0.2:7311
  timeout:
    election: 1m30s
  max_batch: 128
log:
`

func TestFileSetsEveryKind(t *testing.T) {
	got, settings := mustLoad(t, everything, nil, nil)
	want := defaults()
	want.Host = "web-02"
	want.Labels = map[string]string{"role": "web", "zone": "1"}
	want.NATS.URL, want.NATS.Embed = "nats://nats:4222", true
	want.Raft.Peers = []string{"c1=10.0.0.1:7311", "c2=10.0.0.2:7311"}
	want.Raft.Timeout.Election = 90 * time.Second
	want.Raft.MaxBatch = 128
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b func()) bool { return a == nil && b == nil })); diff != "" {
		t.Error(diff)
	}
	if got := settings.Origin("raft.timeout.election"); got != "file agent.yaml:12" {
		t.Errorf("origin %q", got)
	}
	if got := settings.Origin("log"); got != "default" {
		t.Errorf("origin of a key without a value: %q", got)
	}
}

func TestPrecedence(t *testing.T) {
	file := "nats: {url: nats://file:1}\n"
	env := []string{"SERIN_NATS_URL=nats://env:1", "HOME=/root"}
	flag := []string{"--nats-url=nats://flag:1"}
	tests := []struct {
		name      string
		file      string
		env, args []string
		url, from string
	}{
		{"default", "", nil, nil, "nats://127.0.0.1:4222", "default"},
		{"file", file, nil, nil, "nats://file:1", "file agent.yaml:1"},
		{"env over file", file, env, nil, "nats://env:1", "env SERIN_NATS_URL"},
		{"flag over all", file, env, flag, "nats://flag:1", "flag --nats-url"},
		{"flag over env", "", env, flag, "nats://flag:1", "flag --nats-url"},
		{"empty variable is none", file, []string{"SERIN_NATS_URL="}, nil, "nats://file:1", "file agent.yaml:1"},
		{"empty flag is a value", file, env, []string{"--nats-url="}, "", "flag --nats-url"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg, settings := mustLoad(t, tt.file, tt.env, tt.args)
			if cfg.NATS.URL != tt.url || settings.Origin("nats.url") != tt.from {
				t.Errorf("got %q from %q, want %q from %q", cfg.NATS.URL, settings.Origin("nats.url"), tt.url, tt.from)
			}
		})
	}
}

func TestFileNamedByTheEnvironment(t *testing.T) {
	file := filepath.Join(t.TempDir(), "x.yaml")
	if err := os.WriteFile(file, []byte("host: by-env\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, _ := mustLoad(t, "", []string{"SERIN_CONFIG=" + file}, nil)
	if cfg.Host != "by-env" {
		t.Errorf("host %q", cfg.Host)
	}
}

func TestListsAndMapsReplaceAsAWhole(t *testing.T) {
	file := "labels: {role: web}\nraft: {peers: [a, b]}\n"
	cfg, _ := mustLoad(t, file, []string{"SERIN_RAFT_PEERS=c, d"}, []string{"--labels", "zone=1,rack=2", "--labels=zone=3"})
	if diff := cmp.Diff([]string{"c", "d"}, cfg.Raft.Peers); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]string{"zone": "3", "rack": "2"}, cfg.Labels); diff != "" {
		t.Error(diff)
	}
}

func TestFlagsOfEveryKind(t *testing.T) {
	args := []string{"--nats-embed", "--raft-timeout-election=250ms", "--raft-max-batch", "7", "--raft-peers=a", "--raft-peers=b,c"}
	cfg, settings := mustLoad(t, "", nil, args)
	if !cfg.NATS.Embed || cfg.Raft.Timeout.Election != 250*time.Millisecond || cfg.Raft.MaxBatch != 7 {
		t.Errorf("got %+v", cfg)
	}
	if diff := cmp.Diff([]string{"a", "b", "c"}, cfg.Raft.Peers); diff != "" {
		t.Error(diff)
	}
	if settings.PrintConfig {
		t.Error("PrintConfig without the flag")
	}
}

func TestUsage(t *testing.T) {
	flags := newFlags()
	if _, err := config.Define(flags, defaults()); err != nil {
		t.Fatal(err)
	}
	usage := flags.FlagUsages()
	for _, want := range []string{
		"--config file", "--print-config ", "--nats-embed ", "--labels key=value",
		`--host string`, `name of this host (env SERIN_HOST) (default "web-01")`,
		"--raft-timeout-election duration", "(env SERIN_RAFT_TIMEOUT_ELECTION) (default 1s)",
	} {
		if !strings.Contains(usage, want) {
			t.Errorf("the usage lacks %q:\n%s", want, usage)
		}
	}
}

func TestHelpAndUnknownFlag(t *testing.T) {
	if _, _, err := load(t, "", nil, []string{"--help"}); !errors.Is(err, pflag.ErrHelp) {
		t.Errorf("--help: %v", err)
	}
	if _, _, err := load(t, "", nil, []string{"--nats-urls=x"}); err == nil {
		t.Error("an unknown flag was accepted")
	}
}

func TestDefineRefusesWhatItCannotFill(t *testing.T) {
	tests := []struct {
		name string
		cfg  any
		want string
	}{
		{"no pointer", daemon{}, "not a pointer to a struct"},
		{"unknown type", &struct {
			Ratio float64 `yaml:"ratio"`
		}{}, "key ratio: a float64 cannot be configured"},
		{"not exported", &struct {
			host string `yaml:"host"`
		}{}, "key host: the field is not exported"},
		{"two of a name", &struct {
			A string `yaml:"nats_url"`
			B struct {
				URL string `yaml:"url"`
			} `yaml:"nats"`
		}{}, "key nats.url: there is already a flag --nats-url"},
		{"taken name", &struct {
			Config string `yaml:"config"`
		}{}, "key config: there is already a flag --config"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := config.Define(newFlags(), tt.cfg)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

func TestPrintIsAFileThatGivesTheSame(t *testing.T) {
	file := everything + "# end\n"
	args := []string{"--host=it's: \"quoted\" # not", "--raft-peers=- a,b: c", "--log=two\nlines", "--print-config"}
	cfg, settings := mustLoad(t, file, []string{"SERIN_RAFT_MAX_BATCH=9"}, args)
	if !settings.PrintConfig {
		t.Error("PrintConfig is not set")
	}
	var out strings.Builder
	if err := settings.Print(&out); err != nil {
		t.Fatal(err)
	}
	t.Log(out.String())
	again, _ := mustLoad(t, out.String(), nil, nil)
	if diff := cmp.Diff(cfg, again, cmp.Comparer(func(a, b func()) bool { return a == nil && b == nil })); diff != "" {
		t.Error(diff)
	}
}

func TestPointFindsTheKeyOfAnError(t *testing.T) {
	_, settings := mustLoad(t, everything, nil, nil)
	got := settings.Point(errors.New("raft.timeout.election: is too long")).Error()
	if !strings.Contains(got, "agent.yaml:12") || !strings.Contains(got, "is too long") || !strings.Contains(got, "^") {
		t.Errorf("got %s", got)
	}
	if err := errors.New("no space left: on device"); settings.Point(err) != err { //nolint:errorlint // the very same
		t.Error("an error without a key was changed")
	}
	if settings.Point(nil) != nil {
		t.Error("no error became one")
	}
}
