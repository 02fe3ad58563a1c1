package packagetest

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const (
	// replica and agent answer when they can do their work.
	replica = "curl -fsS --max-time 30 http://127.0.0.1:7310"
	agent   = "curl -fsS --max-time 30 http://127.0.0.1:9311"

	data = `var/lib/serin-(agent|coordinator|notify)(/.*)?`
)

// wantLife: a machine installs the packages, is configured, starts what is in
// them, upgrades it while it runs, and removes it.
func wantLife(t *testing.T, f format, packages string) {
	t.Helper()
	m := newMachine(t, packages)
	m.wantInstalled(t, f)
	m.configure(t)
	m.wantUpgraded(t, f)
	m.wantRemoved(t, f)
	if f.purge != "" {
		m.run(t, f.purge)
		m.wantLeft(t, `etc/serin|etc/serin/c1\.key|`+data)
	}
}

// wantInstalled: the packages are there, nothing of theirs runs or will, and
// what to do next was said.
func (m *machine) wantInstalled(t *testing.T, f format) {
	t.Helper()
	said := m.run(t, fmt.Sprintf(f.install, "/mnt/"+before))
	for _, next := range []string{"systemctl enable --now serin-agent", "systemctl enable --now serin-coordinator", "edit /etc/serin/agent.yaml"} {
		if !strings.Contains(said, next) {
			t.Errorf("%q was not said:\n%s", next, said)
		}
	}
	if calls := m.run(t, "cat /run/services/calls"); strings.ReplaceAll(calls, "daemon-reload\n", "") != "" {
		t.Errorf("the installation asked systemd for this:\n%s", calls)
	}
	m.wantNone(t, "find /etc/systemd -name 'serin*'")
	if said := m.run(t, "systemd-analyze --recursive-errors=no verify serin-agent.service serin-coordinator.service serin-notify.service"); said != "" {
		t.Errorf("systemd-analyze verify says:\n%s", said)
	}
	m.run(t, "bash -n /usr/share/bash-completion/completions/serin")
	if said := m.run(t, "serin version -o json; serin-agent --version; serin-coordinator --version"); strings.Count(said, before) != 3 {
		t.Errorf("the versions are\n%s", said)
	}
	if said := m.run(t, "setpriv --reuid=serin --regid=serin --init-groups serin-coordinator check --config /etc/serin/coordinator.yaml"); !strings.Contains(said, "good") {
		t.Errorf("the configuration as it comes: %s", said)
	}
}

// configure does what an owner does by hand, until all of it is ready.
func (m *machine) configure(t *testing.T) {
	t.Helper()
	m.run(t, `sed -i 's/^id: .*/id: mine/' /etc/serin/coordinator.yaml
		sed -i 's/^labels: .*/labels: {role: mine}/' /etc/serin/agent.yaml
		echo logger:// >>/etc/serin/notify.urls
		install -m 640 -g serin /dev/null /etc/serin/c1.key
		systemctl enable --now serin-coordinator`)
	m.eventually(t, replica+"/readyz")
	m.run(t, "serin-agent check --config /etc/serin/agent.yaml; systemctl enable --now serin-agent serin-notify")
	m.eventually(t, agent+"/readyz")
	// It has connected when it has a place to go on from.
	m.eventually(t, "test -s /var/lib/serin-notify/positions")
	if got, want := m.run(t, "stat -c %U /proc/$(cat /run/services/serin-coordinator.pid)"), "serin\n"; got != want {
		t.Errorf("the coordinator runs as %s", got)
	}
}

// wantUpgraded: what runs is the new version then, as it was configured, and what
// did not run does not.
func (m *machine) wantUpgraded(t *testing.T, f format) {
	t.Helper()
	m.run(t, "systemctl stop serin-notify")
	const pids = "cat /run/services/serin-agent.pid /run/services/serin-coordinator.pid"
	old := " " + strings.Join(strings.Fields(m.run(t, pids)), " ") + " "
	said := m.run(t, fmt.Sprintf(f.install, "/mnt/"+after))
	if strings.Contains(said, "is installed, and not started") || strings.Contains(said, "does not start") {
		t.Errorf("the upgrade said\n%s", said)
	}
	for _, daemon := range []string{replica, agent} {
		m.eventually(t, daemon+"/readyz")
		m.eventually(t, daemon+`/metrics | grep '^serin_.*build_info{.*version="`+after+`"'`)
	}
	for pid := range strings.FieldsSeq(m.run(t, pids)) {
		if strings.Contains(old, " "+pid+" ") {
			t.Errorf("process %s is there still: %s", pid, old)
		}
	}
	m.run(t, "test ! -e /run/services/serin-notify.pid")
	m.run(t, "test -L /etc/systemd/system/multi-user.target.wants/serin-agent.service")
	m.run(t, `grep -q '^id: mine' /etc/serin/coordinator.yaml; grep -q 'role: mine' /etc/serin/agent.yaml; grep -q '^logger:' /etc/serin/notify.urls`)
	if said := m.run(t, "serin-agent --config /etc/serin/agent.yaml --print-config; stat -c '%U:%G %a' /etc/serin/coordinator.yaml"); !strings.Contains(said, "mine") || !strings.Contains(said, "root:serin 640") {
		t.Errorf("the configuration is\n%s", said)
	}
	m.wantNone(t, "find /etc/serin -name '*.dpkg-*' -o -name '*.rpm*'")
}

// wantRemoved: nothing of it runs or will, and nothing is left but data and
// configuration.
func (m *machine) wantRemoved(t *testing.T, f format) {
	t.Helper()
	said := m.run(t, f.remove)
	if !strings.Contains(said, "serve on") {
		t.Errorf("the removal said\n%s", said)
	}
	m.wantNone(t, "pidof serin serin-agent serin-coordinator || true")
	m.wantLeft(t, f.keeps+"|"+data)
}

// wantLeft: of what was changed on the machine no paths but these are left, and
// what the package manager keeps for itself; and data is.
func (m *machine) wantLeft(t *testing.T, want string) {
	t.Helper()
	known := regexp.MustCompile("^(" + want + "|" + system + ")$")
	left := m.changes(t)
	for _, path := range left {
		if !known.MatchString(path) {
			t.Errorf("/%s is left", path)
		}
	}
	for _, path := range []string{"etc/serin/c1.key", "var/lib/serin-notify/positions", "var/lib/serin-coordinator/nats"} {
		if !slices.Contains(left, path) {
			t.Errorf("/%s is not there any more", path)
		}
	}
}

// wantNone: the line prints nothing.
func (m *machine) wantNone(t *testing.T, line string) {
	t.Helper()
	if out := m.run(t, line); strings.TrimSpace(out) != "" {
		t.Errorf("%s:\n%s", line, out)
	}
}
