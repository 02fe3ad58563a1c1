// Package packagetest tests the packages that `make dist` makes: what is in them,
// that they come out the same each time, and how a machine takes them from the
// first installation to the last file's removal.
package packagetest

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/serin-rollouts/serin/internal/needtest"
)

const (
	tree = "../.."
	// A version, and the next one.
	before, after = "1.0.0", "1.1.0"
)

func programs() []string { return []string{"serin", "serin-agent", "serin-coordinator"} }

// TestPackages makes the packages of two versions, and is about all that follows.
func TestPackages(t *testing.T) {
	for _, program := range []string{"dpkg-deb", "rpm"} {
		_, err := exec.LookPath(program)
		needtest.Need(t, program, err)
	}
	dir := t.TempDir()
	build(t, tree, before, runtime.GOARCH, filepath.Join(dir, before))
	build(t, tree, after, runtime.GOARCH, filepath.Join(dir, after))
	t.Run("same", func(t *testing.T) { wantSame(t, filepath.Join(dir, before)) })
	t.Run("other architecture", func(t *testing.T) { wantOther(t, filepath.Join(dir, before)) })
	for _, f := range formats() {
		t.Run(f.name, func(t *testing.T) {
			t.Run("content", func(t *testing.T) { f.wantContent(t, filepath.Join(dir, before)) })
			t.Run("life", func(t *testing.T) { wantLife(t, f, dir) })
		})
	}
}

// build makes the packages of a version from a tree, for one architecture.
func build(t *testing.T, tree, version, arch, out string, env ...string) {
	t.Helper()
	script, err := filepath.Abs(filepath.Join(tree, "deploy/packages/build.sh"))
	if err != nil {
		t.Fatal(err)
	}
	// As a login of somebody else's, with other habits.
	cmd := exec.CommandContext(t.Context(), "bash", "-c", `umask "${MASK:-022}"; exec "$@"`, "bash",
		script, "--out", out, "--arch", arch)
	cmd.Env = append(append(os.Environ(), "VERSION=v"+version, "SOURCE_DATE_EPOCH=1700000000"), env...)
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", script, err, said)
	}
}

// wantSame: the same files come out of a copy of the tree that lies elsewhere,
// for somebody with other habits.
func wantSame(t *testing.T, first string) {
	t.Helper()
	work := t.TempDir()
	elsewhere, second := filepath.Join(work, "elsewhere"), filepath.Join(work, "out")
	link := `cd "$1" && mkdir -p "$2" && git ls-files -z --cached --others --exclude-standard |
		tar --null --files-from=- --ignore-failed-read -c | tar -x -C "$2" && ln -s "$PWD/.bin" "$2/.bin"`
	if said, err := exec.CommandContext(t.Context(), "bash", "-c", link, "bash", tree, elsewhere).CombinedOutput(); err != nil {
		t.Fatalf("copy the tree: %v\n%s", err, said)
	}
	build(t, elsewhere, before, runtime.GOARCH, second, "MASK=077", "TZ=Asia/Tokyo", "SERIN_DATA=/elsewhere", "SERIN_HOST=another", "GOMAXPROCS=1")
	sums, err := os.ReadFile(filepath.Join(first, "SHA256SUMS"))
	if err != nil {
		t.Fatal(err)
	}
	again, err := os.ReadFile(filepath.Join(second, "SHA256SUMS"))
	if err != nil || !bytes.Equal(sums, again) {
		t.Errorf("%v: the files differ:\n%s\n%s", err, sums, again)
	}
	check := exec.CommandContext(t.Context(), "sha256sum", "--check", "--strict", "SHA256SUMS")
	check.Dir = second
	if said, err := check.CombinedOutput(); err != nil || bytes.Count(said, []byte(": OK")) != 2*len(programs())+1 {
		t.Errorf("sha256sum --check: %v\n%s", err, said)
	}
}

// format is a kind of packages, and the commands that a machine has for them.
type format struct {
	name string
	// list prints mode, owner, group and path of each file; config the paths of
	// configuration files. %s is the package's file.
	list, config string
	arch         string            // prints the architecture, in archNames' words
	archNames    map[string]string // by Go's
	install      string            // also upgrades; %s is a directory
	remove       string
	purge        string // empty: there is no such thing
	zsh          string
	// keeps are the paths that a removal leaves, beside data.
	keeps string
}

// system is what dpkg, rpm and useradd keep for themselves.
const system = `etc/(passwd|group|shadow|gshadow|subuid|subgid)-?|etc/\.pwd\.lock|var/lib/(dpkg|rpm)/.*|var/log/dpkg\.log|root/\.rpmdb(/.*)?`

func formats() []format {
	return []format{
		{
			name: "deb",
			list: `dpkg-deb --fsys-tarfile %s | tar -tvf - | awk '{ print $1, $2, substr($6, 2) }'`, config: `dpkg-deb --info %s conffiles`,
			arch: `dpkg-deb --field %s Architecture`, archNames: map[string]string{"amd64": "amd64", "arm64": "arm64"},
			install: `dpkg --no-triggers --install %s/*.deb`,
			remove:  `dpkg --no-triggers --remove serin serin-agent serin-coordinator`,
			purge:   `dpkg --no-triggers --purge serin serin-agent serin-coordinator`,
			zsh:     "/usr/share/zsh/vendor-completions/_serin",
			keeps:   `etc/serin|etc/serin/(agent\.yaml|coordinator\.yaml|notify\.yaml|notify\.urls|c1\.key)`,
		},
		{
			name: "rpm",
			list: `rpm --query --package --list --verbose %s | awk '{ print $1, $3 "/" $4, $9 }'`, config: `rpm --query --package --configfiles %s`,
			arch: `rpm --query --package --queryformat '%%{ARCH}' %s`, archNames: map[string]string{"amd64": "x86_64", "arm64": "aarch64"},
			install: `rpm --upgrade --nodeps %s/*.rpm`,
			remove:  `rpm --erase --nodeps serin serin-agent serin-coordinator`,
			zsh:     "/usr/share/zsh/site-functions/_serin",
			keeps:   `etc/serin|etc/serin/((agent\.yaml|coordinator\.yaml|notify\.urls)\.rpmsave|c1\.key)`,
		},
	}
}

// file is the name of a package's file.
func (f format) file(t *testing.T, dir, program string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, program+"?[0-9]*."+f.name))
	if err != nil || len(found) != 1 {
		t.Fatalf("packages of %s: %v, %v", program, found, err)
	}
	return found[0]
}

// wantContent: the packages have the files that they should, each with its mode
// and its owner, and which of them are configuration is known.
func (f format) wantContent(t *testing.T, dir string) {
	t.Helper()
	want := map[string]string{
		"/usr/share/bash-completion/completions/serin":    "-rw-r--r-- root/root",
		"/usr/share/fish/vendor_completions.d/serin.fish": "-rw-r--r-- root/root",
		f.zsh: "-rw-r--r-- root/root",
		"/usr/share/doc/serin/examples/make-certs.sh":       "-rwxr-xr-x root/root",
		"/usr/share/doc/serin/examples/rules.yaml":          "-rw-r--r-- root/root",
		"/usr/lib/systemd/system/serin-notify.service":      "-rw-r--r-- root/root",
		"/usr/lib/systemd/system/serin-agent.service":       "-rw-r--r-- root/root",
		"/usr/lib/systemd/system/serin-coordinator.service": "-rw-r--r-- root/root",
		"/usr/share/man/man8/serin-agent.8.gz":              "-rw-r--r-- root/root",
		"/usr/share/man/man8/serin-coordinator.8.gz":        "-rw-r--r-- root/root",
		"/etc/serin/notify.yaml":                            "-rw------- root/root",
		"/etc/serin/notify.urls":                            "-rw------- root/root",
		"/etc/serin/agent.yaml":                             "-rw-r----- root/root",
		"/etc/serin/coordinator.yaml":                       "-rw-r----- root/serin",
		"/var/lib/serin-notify":                             "drwx------ root/root",
		"/var/lib/serin-agent":                              "drwx------ root/root",
		"/var/lib/serin-coordinator":                        "drwx------ serin/serin",
	}
	for _, program := range programs() {
		want["/usr/bin/"+program] = "-rwxr-xr-x root/root"
		want["/usr/share/doc/"+program+"/copyright"] = "-rw-r--r-- root/root"
		want["/usr/share/doc/"+program+"/NOTICES.gz"] = "-rw-r--r-- root/root"
	}
	for _, page := range manual(t) {
		want["/usr/share/man/man1/"+page+".1.gz"] = "-rw-r--r-- root/root"
	}
	have := map[string]string{}
	var config []string
	for _, program := range programs() {
		file := f.file(t, dir, program)
		for line := range strings.Lines(shell(t, fmt.Sprintf(f.list, file))) {
			words := strings.Fields(line)
			have[strings.TrimSuffix(words[2], "/")] = words[0] + " " + words[1]
		}
		config = append(config, strings.Fields(shell(t, fmt.Sprintf(f.config, file)))...)
	}
	for path, how := range want {
		if have[path] != how {
			t.Errorf("%s is %q, not %q", path, have[path], how)
		}
	}
	for path, how := range have {
		if want[path] == "" && how != "drwxr-xr-x root/root" && !strings.HasPrefix(path, "/usr/share/doc/serin/examples/") {
			t.Errorf("%s (%s) is there, too", path, how)
		}
	}
	slices.Sort(config)
	if want := "/etc/serin/agent.yaml /etc/serin/coordinator.yaml /etc/serin/notify.urls /etc/serin/notify.yaml"; strings.Join(config, " ") != want {
		t.Errorf("configuration files are %q, not %s", config, want)
	}
}

// manual are the pages of all commands: of each that docs/cli.md has.
func manual(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(tree, "docs/cli.md"))
	if err != nil {
		t.Fatal(err)
	}
	var pages []string
	for _, m := range regexp.MustCompile(`(?m)^## (serin.*)$`).FindAllStringSubmatch(string(text), -1) {
		pages = append(pages, strings.ReplaceAll(m[1], " ", "-"))
	}
	if len(pages) < 20 {
		t.Fatalf("docs/cli.md has these commands: %q", pages)
	}
	return pages
}

func shell(t *testing.T, line string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "bash", "-o", "pipefail", "-ec", line)
	cmd.Stderr = t.Output()
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	return string(out)
}
