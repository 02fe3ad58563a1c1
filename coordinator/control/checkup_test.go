package control

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/rollout"
	"github.com/serin-rollouts/serin/internal/wire"
)

// wellGroup is three replicas without a fault.
func wellGroup() api.ClusterStatus {
	c := api.ClusterStatus{Leader: "c1", Term: 3, Applied: 5000, Events: 77}
	for i, id := range []string{"c1", "c2", "c3"} {
		role := "follower"
		if i == 0 {
			role = "leader"
		}
		c.Members = append(c.Members, api.ClusterMember{ID: id, Addr: id + ":7311", Voter: true, Leader: i == 0, Standing: &api.Standing{
			ID: id, Version: "1.2.0", Level: rollout.LevelFirst, Role: role, Term: 3, Last: 5000, Applied: 4990, Contact: 40,
			Embedded: true, Streams: true, Disk: &api.Disk{Free: 30 << 30, Size: 40 << 30},
		}})
	}
	return c
}

// wellHost is a host without a fault.
func wellHost(name string) Host {
	return Host{Live: true, Seen: time.Second, Health: wire.Health{
		Host: name, Version: "1.2.0", Docker: "28.5.2", HAProxy: "2.6.12",
		Checks: &wire.Checks{DiskFree: 30 << 30, DiskSize: 40 << 30},
	}}
}

// findings are the checks that are not OK: "warn clocks: 1 of 2 hosts ... [web-2: 4.1s ahead]".
func findings(up api.Checkup) []string {
	var all []string
	for _, k := range up.Checks {
		if k.Grade == api.GradeOK {
			continue
		}
		words := []string{k.Grade, k.About + ":", k.Text}
		for _, h := range k.Hosts {
			words = append(words, "["+h.Host+": "+h.Why+"]")
		}
		if k.Next == "" {
			words = append(words, "and nothing to do about it")
		}
		all = append(all, strings.Join(words, " "))
	}
	return all
}

func TestCheckupFindsEachFault(t *testing.T) {
	type fleet struct {
		group *api.ClusterStatus
		hosts []Host
		state *rollout.State
	}
	for name, c := range map[string]struct {
		plant func(*fleet)
		want  []string
	}{
		"well": {func(*fleet) {}, nil},
		"replica is away": {func(f *fleet) { f.group.Members[2].Standing = nil }, []string{
			"warn group: c1 leads in term 3; 2 of 3 voters answer, and it bears the loss of 0",
			"fail replica c3: does not answer at c3:7311",
		}},
		"cut off":    {func(f *fleet) { f.group.Members[1].Standing.Contact = 12_000 }, []string{"fail replica c2: follower, 1.2.0, entry 4990; has not heard the leader for 12s"}},
		"never":      {func(f *fleet) { f.group.Members[1].Standing.Contact = -1 }, []string{"fail replica c2: follower, 1.2.0, entry 4990; has not heard the leader since it started"}},
		"behind":     {func(f *fleet) { f.group.Members[1].Standing.Applied = 12 }, []string{"warn replica c2: follower, 1.2.0, entry 12; is 4988 entries behind"}},
		"no streams": {func(f *fleet) { f.group.Members[1].Standing.Streams = false }, []string{"fail replica c2: follower, 1.2.0, entry 4990; JetStream of its server has no leader"}},
		"old, and its disk is full": {func(f *fleet) {
			f.group.Members[1].Standing.Version, f.group.Members[1].Standing.Disk.Free = "1.1.0", 1<<20
		}, []string{"fail replica c2: follower, 1.1.0, entry 4990; the leader is of 1.2.0; 0.0 of 40.0 GiB are free on its disk"}},
		"joins":         {func(f *fleet) { f.group.Members[2].Voter = false }, []string{"warn group: c1 leads in term 3; 2 of 2 voters answer, and it bears the loss of 0", "warn replica c3: follower, 1.2.0, entry 4990; is joining"}},
		"level":         {func(f *fleet) { f.group.Members[0].Standing.Level = rollout.LevelFirst + 1 }, []string{fmt.Sprintf("warn group: c1 leads in term 3; 3 of 3 voters answer, and it bears the loss of 1; it works as an earlier release does (level %d of %d)", rollout.LevelFirst, rollout.LevelFirst+1)}},
		"outbox":        {func(f *fleet) { f.group.Outbox = 30 }, []string{"warn events: 30 of 77 wait to be published"}},
		"no host":       {func(f *fleet) { f.hosts = nil }, []string{"warn hosts: none has reported"}},
		"silent":        {func(f *fleet) { f.hosts[1].Live, f.hosts[1].Seen = false, 3*time.Minute }, []string{"fail hosts: 1 of 2 hosts are silent [web-2: for 3m0s]"}},
		"clock ahead":   {func(f *fleet) { f.hosts[1].Skew = 4100 * time.Millisecond }, []string{"warn clocks: 1 of 2 hosts are off by more than 2s [web-2: 4.1s ahead]"}},
		"clock behind":  {func(f *fleet) { f.hosts[1].Skew = -time.Hour }, []string{"warn clocks: 1 of 2 hosts are off by more than 2s [web-2: 1h0m0s behind]"}},
		"clock so-so":   {func(f *fleet) { f.hosts[1].Skew = -2 * time.Second }, nil},
		"old agent":     {func(f *fleet) { f.hosts[1].Health.Version = "1.1.0" }, []string{"warn agents: 1 of 2 hosts are of another release than the leader [web-2: 1.1.0]"}},
		"docker":        {func(f *fleet) { f.hosts[1].Health.Checks.DockerProblem = "does not answer" }, []string{"fail docker: 1 of 2 hosts cannot use Docker [web-2: does not answer]"}},
		"haproxy":       {func(f *fleet) { f.hosts[1].Health.Checks.HAProxyProblem = "no socket" }, []string{"fail haproxy: 1 of 2 hosts cannot use HAProxy [web-2: no socket]"}},
		"little room":   {func(f *fleet) { f.hosts[1].Health.Checks.DiskFree = 1 << 29 }, []string{"warn disks: 1 of 2 hosts have little room for their state [web-2: 0.5 of 40.0 GiB are free]"}},
		"no room":       {func(f *fleet) { f.hosts[1].Health.Checks.DiskFree = 0 }, []string{"fail disks: 1 of 2 hosts have little room for their state [web-2: 0.0 of 40.0 GiB are free]"}},
		"does not tell": {func(f *fleet) { f.hosts[1].Health.Checks = nil }, nil},
		"trouble": {func(f *fleet) {
			f.hosts[1].Health.Services = []wire.ServiceHealth{{Service: "shop", Problem: "pull: no such image\nits words"}}
		}, []string{"fail services: 1 of 2 hosts have a problem with a service [web-2: shop: pull: no such image]"}},
		"held": {func(f *fleet) {
			f.hosts[1].Health.Services = []wire.ServiceHealth{{Service: "shop"}}
			f.state.Services["shop"] = &rollout.Service{Name: "shop", Held: map[string]rollout.Revision{"web-2": {}}}
		}, []string{"warn versions: 1 of 2 hosts keep an older version [web-2: shop]"}},
	} {
		group := wellGroup()
		f := fleet{group: &group, hosts: []Host{wellHost("web-2"), wellHost("web-1")}, state: rollout.NewState()}
		f.hosts[0], f.hosts[1] = f.hosts[1], f.hosts[0]
		c.plant(&f)
		up := checkup(f.state, group, View{Hosts: f.hosts}, "1.2.0")
		if diff := cmp.Diff(c.want, findings(up)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// The answer of a fleet of 10,000 of which nothing is well fits into any bus's
// message, and names the first by name.
func TestCheckupStaysSmall(t *testing.T) {
	var v View
	for i := range 10_000 {
		h := wellHost(fmt.Sprintf("web-%05d", 9999-i))
		h.Live, h.Skew = i%2 == 0, time.Hour
		h.Health.Version, h.Health.Docker = "0.9.0", fmt.Sprintf("28.%d.0", i)
		h.Health.Checks = &wire.Checks{DockerProblem: strings.Repeat("d", 1000), HAProxyProblem: strings.Repeat("h", 1000), DiskSize: 1 << 30}
		h.Health.Services = []wire.ServiceHealth{{Service: "shop", Problem: strings.Repeat("p", 1000)}}
		v.Hosts = append(v.Hosts, h)
	}
	up := checkup(rollout.NewState(), wellGroup(), v, "1.2.0")
	text, err := json.Marshal(up)
	if err != nil || len(text) > 100<<10 {
		t.Errorf("%d bytes, %v", len(text), err)
	}
	for _, k := range up.Checks {
		if k.About == "docker" && (k.Count != 5000 || len(k.Hosts) != api.MostNamed || k.Hosts[0].Host != "web-00001") {
			t.Errorf("%d hosts, named %v", k.Count, k.Hosts)
		}
	}
	if got := tally([]api.HostStatus{{Docker: "28.5.2"}, {Docker: "20.10.24"}, {Docker: "20.10.24"}, {}}, func(h api.HostStatus) string { return h.Docker }); got != "20.10.24 on 2, 28.5.2 on 1, not seen yet on 1" {
		t.Errorf("tally: %s", got)
	}
}
