package packagetest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/serin-rollouts/serin/internal/needtest"
)

// TestVersions: what git describes becomes versions that package managers take
// for newer, the later they are.
func TestVersions(t *testing.T) {
	_, err := exec.LookPath("dpkg")
	needtest.Need(t, "dpkg", err)
	last := "0"
	for _, v := range []struct{ described, want string }{
		{"4bf92f3", "0.0.0+20231114221320.4bf92f3"},
		{"4bf92f3-dirty", "0.0.0+20231114221320.4bf92f3.dirty"},
		{"v1.2.3-rc.1", "1.2.3~rc.1"},
		{"v1.2.3-rc.1-2-gabc", "1.2.3~rc.1+2.gabc"},
		{"v1.2.3-rc.2", "1.2.3~rc.2"},
		{"v1.2.3", "1.2.3"},
		{"v1.2.3-dirty", "1.2.3+dirty"},
		{"v1.2.4", "1.2.4"},
		{"v1.2.4-4-gabc", "1.2.4+4.gabc"},
		{"1.2.4-11-gabc-dirty", "1.2.4+11.gabc.dirty"},
		{"v1.10.0", "1.10.0"},
	} {
		cmd := exec.CommandContext(t.Context(), filepath.Join(tree, "deploy/packages/build.sh"), "--print-version")
		cmd.Env = append(os.Environ(), "VERSION="+v.described, "SOURCE_DATE_EPOCH=1700000000")
		cmd.Stderr = t.Output()
		out, err := cmd.Output()
		if got := strings.TrimSpace(string(out)); err != nil || got != v.want {
			t.Errorf("%s: %q (%v), want %s", v.described, got, err, v.want)
		}
		if err := exec.CommandContext(t.Context(), "dpkg", "--compare-versions", last, "lt", v.want).Run(); err != nil {
			t.Errorf("%s is not before %s: %v", last, v.want, err)
		}
		last = v.want
	}
}

// TestVersionOfAnyClone: how much of the history a clone has, and how its owner
// likes hashes, does not change what the packages are called.
func TestVersionOfAnyClone(t *testing.T) {
	versions := map[string]bool{}
	for _, abbrev := range []string{"4", "40"} {
		cmd := exec.CommandContext(t.Context(), filepath.Join(tree, "deploy/packages/build.sh"), "--print-version")
		cmd.Env = append(os.Environ(), "VERSION=", "SOURCE_DATE_EPOCH=1700000000",
			"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=core.abbrev", "GIT_CONFIG_VALUE_0="+abbrev)
		cmd.Stderr = t.Output()
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		versions[string(out)] = true
	}
	if len(versions) != 1 {
		t.Errorf("the same tree has the versions %v", versions)
	}
}
