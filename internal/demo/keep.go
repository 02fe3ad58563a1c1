package demo

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// howToTalk tells how to use a fleet that was kept, in commands that work as
// they stand.
func (r *run) howToTalk() error {
	f := r.fleet
	file := filepath.Join(f.Dir, "rollout.yaml")
	if err := os.WriteFile(file, []byte(r.file(&stage{service: service, port: f.Port}, kept())), 0o600); err != nil {
		return fmt.Errorf("write an example: %w", err)
	}
	self := filepath.Join(f.Bin, "serin")
	var coordinators, agents []string
	for _, url := range f.Consoles() {
		coordinators = append(coordinators, url+"/metrics")
	}
	for _, h := range f.Hosts {
		agents = append(agents, "http://"+h.HTTP+"/metrics")
	}
	r.screen.write(fmt.Sprintf(`
The fleet goes on running. Open it in a browser on this machine, and steer it there:
%[9]s/
Each of the %[10]d replicas serves that page, and it goes on when the replica behind it goes.

Talk to it:
  export SERIN_SERVER=%[1]s
  %[2]s status
  %[2]s hosts
  %[2]s start %[3]s --image %[4]s
  %[2]s watch %[5]s
  %[2]s explain %[5]s
  curl -i %[6]s
  curl -s %[6]smetrics   # what a container says of itself: a gate can read it
  while sleep 0.01; do curl -so /dev/null %[6]s; done   # a new version needs traffic to be judged by

There are v1 to v5: v2 is as good as v1, v3 fails 5 %% of its requests, v4 is 30 %% slower at p99, v5 loses
memory. %[3]s has a line for the gate that finds each.

Or with the nats command-line client:
  nats --server %[1]s sub 'serin.v1.event.>'
  nats --server %[1]s req serin.v1.trigger.%[5]s '{"image": "%[7]s"}'
  nats --server %[1]s req serin.v1.get.service.%[5]s ''
  nats --server %[1]s req serin.v1.feedback.%[5]s '{"revision": "v2", "kind": "complaint"}'

What Prometheus would read:
  curl -s %[11]s   # of the coordinators
  curl -s %[12]s   # of the agents

End it and remove everything:
  %[2]s %[8]s </dev/null
`, strings.Join(f.URLs(), ","), quoted(self), quoted(file), f.Image("v3"), service, f.Frontends()[0], f.Image("v1"), quoted(f.SweepArgs()...),
		f.Consoles()[0], len(f.Replicas), quoted(coordinators...), quoted(agents...)))
	return nil
}

// kept is what a person begins with who plays with the fleet: the gate that every
// version passes or fails soon, and those that find the others as remarks.
func kept() scenario {
	c := scenarioOf(Good)
	c.gates = strings.Join([]string{
		"", watchErrors + "   # finds v3",
		"# " + watchLatency + "   # finds v4; a version that is as fast takes minutes to prove",
		"# " + watchSaturation + "   # finds v5",
		`# metrics: [{name: orders, bad: 'demo_orders_total{result="failed"}', total: demo_orders_total}]   # of /metrics`,
		"# feedback: {kinds: [complaint], max_increase: 1%}   # of nats req serin.v1.feedback." + service,
	}, "\n  ")
	return c
}

// quoted writes words so that a shell reads them as they are.
func quoted(words ...string) string {
	const harmless = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789%+,-./:=@_"
	written := make([]string, 0, len(words))
	for _, w := range words {
		if w == "" || strings.Trim(w, harmless) != "" {
			w = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
		}
		written = append(written, w)
	}
	return strings.Join(written, " ")
}
