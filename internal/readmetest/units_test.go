package readmetest

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/serin-rollouts/serin/internal/needtest"
)

// systemUnits is where Debian's package of systemd has the units that ours name.
const systemUnits = "/usr/lib/systemd/system"

// checkUnits: systemd takes the unit files as they are, the commands above them
// install what they name, and README.md's files agree with them.
func checkUnits(t *testing.T, bin string) {
	t.Helper()
	_, err := exec.LookPath("systemd-analyze")
	needtest.Need(t, "systemd-analyze", err)
	for _, c := range []struct{ program, config, certificate string }{
		{"serin-coordinator", "coordinator.yaml", "c1"},
		{"serin-agent", "agent.yaml", "web-01"},
	} {
		t.Run(c.program, func(t *testing.T) {
			m := newMachine(t, bin, c.config)
			u := m.install(t, c.program)
			m.bash(t, filepath.Join(m.tree, "deploy/examples/make-certs.sh")+" "+m.root+"/etc/serin "+c.certificate)
			out := m.bash(t, "systemd-analyze --root="+m.root+" --recursive-errors=no verify "+c.program+".service")
			if out != "" {
				t.Errorf("systemd-analyze verify says:\n%s", out)
			}
			u.wantDirectories(t, m.files[c.config])
			for _, line := range u.settings["ExecStartPre"] {
				m.bash(t, m.here(line))
			}
			// What is started reads the file that was installed, and takes it.
			printed := m.bash(t, m.here(u.one(t, "ExecStart"))+" --print-config")
			if want := m.root + "/var/lib/" + u.one(t, "StateDirectory"); !strings.Contains(printed, want) {
				t.Errorf("%s --print-config does not name %s:\n%s", c.program, want, printed)
			}
		})
	}
}

// checkNotifyUnit: systemd takes the unit of `serin notify`, and the commands
// above it install what it reads.
func checkNotifyUnit(t *testing.T, bin string) {
	t.Helper()
	m := newMachine(t, bin, "agent.yaml")
	for name, text := range map[string]string{"notify.urls": "logger://\n", "notify.yaml": "server: [nats://10.0.0.1:4222]\n"} {
		if err := os.WriteFile(filepath.Join(m.hand, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	u := m.install(t, "serin-notify")
	if out := m.bash(t, "systemd-analyze --root="+m.root+" --recursive-errors=no verify serin-notify.service"); out != "" {
		t.Errorf("systemd-analyze verify says:\n%s", out)
	}
	start := m.here(u.one(t, "ExecStart"))
	if printed := m.bash(t, start+" --print-config"); !strings.Contains(printed, "nats://10.0.0.1:4222") {
		t.Errorf("does not read its file:\n%s", printed)
	}
	to, _, _ := strings.Cut(strings.Replace(start, " notify ", " notify test ", 1), " --state ")
	if said := m.bash(t, to); !strings.Contains(said, "sent example") {
		t.Errorf("does not read its targets:\n%s", said)
	}
}

// machine is a directory that stands for the root of a machine, as systemd sees
// it, and a copy of what its owner has in hand.
type machine struct {
	root, tree, hand string
	files            map[string]string // of README.md
}

func newMachine(t *testing.T, bin, config string) *machine {
	t.Helper()
	tree, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	m := &machine{root: t.TempDir(), tree: tree, hand: t.TempDir(), files: map[string]string{}}
	_, blocks := readme(t)
	for _, b := range blocks {
		if name := b.file(); name != "" {
			m.files[name] = b.text()
		}
	}
	if err := os.WriteFile(filepath.Join(m.hand, config), []byte(m.here(m.files[config])), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, at := range map[string]string{"bin": bin, "deploy": filepath.Join(tree, "deploy")} {
		if err := os.Symlink(at, filepath.Join(m.hand, name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, dir := range []string{"/usr/local/bin", "/etc/systemd/system", filepath.Dir(systemUnits)} {
		if err := os.MkdirAll(m.root+dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	m.bash(t, "cp -r "+systemUnits+" "+m.root+filepath.Dir(systemUnits))
	return m
}

var realDirectory = regexp.MustCompile(`(^|\s)(/usr/local/bin/|/etc/|/var/lib/)`)

// here puts the machine's directories for the real ones.
func (m *machine) here(text string) string {
	return realDirectory.ReplaceAllString(text, "${1}"+m.root+"${2}")
}

// bash runs a line in the owner's directory and returns what it prints.
func (m *machine) bash(t *testing.T, line string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "bash", "-c", line)
	cmd.Dir = m.hand
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", line, err, out)
	}
	return string(out)
}

// install carries out the commands that stand at the head of a unit file, but for
// those that need a running systemd or change the users.
func (m *machine) install(t *testing.T, program string) unit {
	t.Helper()
	u := parseUnit(t, read(t, "deploy/systemd/"+program+".service"))
	group := ""
	for _, line := range u.commands {
		words := strings.Fields(line)
		if i := slices.Index(words, "-g"); i > 0 {
			group = words[i+1]
			line = strings.Replace(line, " -g "+group, "", 1)
		}
		switch words[0] {
		case "useradd":
			u.wantUser(t, words)
		case "systemctl":
			if want := "enable --now " + program; !strings.HasSuffix(line, want) {
				t.Errorf("%q does not end in %q", line, want)
			}
		default:
			m.bash(t, m.here(line))
		}
	}
	// Who may read the file is who the unit runs as.
	if user := u.settings["User"]; group != strings.Join(user, "") || !slices.Equal(user, u.settings["Group"]) {
		t.Errorf("the file is of group %q, User=%v, Group=%v", group, user, u.settings["Group"])
	}
	text, _ := readme(t)
	if group != "" && !strings.Contains(text, "-g "+group+" ") {
		t.Errorf("README.md does not give keys to the group %s", group)
	}
	return u
}

// unit is a unit file: its settings, and the commands in its first lines.
type unit struct {
	settings map[string][]string
	commands []string
}

func parseUnit(t *testing.T, text string) unit {
	t.Helper()
	u := unit{settings: map[string][]string{}}
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if command, ok := strings.CutPrefix(line, "#   "); ok {
			command, _, _ = strings.Cut(command, " # ")
			u.commands = append(u.commands, strings.TrimSpace(command))
		}
		if key, value, ok := strings.Cut(line, "="); ok && !strings.HasPrefix(line, "#") {
			u.settings[key] = append(u.settings[key], value)
		}
	}
	if len(u.commands) < 4 {
		t.Fatalf("commands at the head of the unit: %q", u.commands)
	}
	return u
}

// one returns the only value of a setting.
func (u unit) one(t *testing.T, key string) string {
	t.Helper()
	values := u.settings[key]
	if len(values) != 1 {
		t.Fatalf("%s= is there %d times", key, len(values))
	}
	return values[0]
}

// wantUser: the user that is made is the one that the unit names.
func (u unit) wantUser(t *testing.T, useradd []string) {
	t.Helper()
	if name := useradd[len(useradd)-1]; name != u.one(t, "User") {
		t.Errorf("user %s is made, User=%s", name, u.one(t, "User"))
	}
	home := useradd[slices.Index(useradd, "--home-dir")+1]
	if want := "/var/lib/" + u.one(t, "StateDirectory"); home != want {
		t.Errorf("the user's home is %s, not %s", home, want)
	}
}

// wantDirectories: what README.md's file names is in the directories that the
// unit may read and write.
func (u unit) wantDirectories(t *testing.T, file string) {
	t.Helper()
	var config struct {
		Data string
		TLS  map[string]string
	}
	if err := yaml.Unmarshal([]byte(file), &config); err != nil {
		t.Fatal(err)
	}
	if want := "/var/lib/" + u.one(t, "StateDirectory"); config.Data != want {
		t.Errorf("README.md's data is %s, not %s", config.Data, want)
	}
	if len(config.TLS) != 3 {
		t.Errorf("README.md's tls is %v", config.TLS)
	}
	for key, name := range config.TLS {
		if want := "/etc/" + u.one(t, "ConfigurationDirectory"); filepath.Dir(name) != want {
			t.Errorf("README.md's %s is %s, not in %s", key, name, want)
		}
	}
}
