package difference

import (
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-rollouts/serin/internal/rollout"
	"github.com/serin-rollouts/serin/internal/specfile"
)

// side is what a rollout file comes to; its image is pinned by its tag.
func side(t *testing.T, text string) Side {
	t.Helper()
	spec, err := specfile.Parse([]byte("service: checkout\n" + text))
	if err != nil {
		t.Fatal(err)
	}
	_, tag, _ := strings.Cut(spec.Image, ":")
	return Side{rollout.NewRevision(spec, "shop/checkout@sha256:"+strings.Repeat(tag, 64)), spec}
}

func TestOf(t *testing.T) {
	const image = "image: shop/checkout:a\n"
	for name, c := range map[string]struct {
		from, to string
		want     []string
	}{
		"nothing": {image + "container: {port: 80}", image + "container: {port: 80}", nil},
		"the image": {
			"image: shop/checkout:a\ncontainer: {port: 80}", "image: shop/checkout:b\ncontainer: {port: 80}",
			[]string{"image: shop/checkout:a (sha256:aaaaaaaaaaaa) -> shop/checkout:b (sha256:bbbbbbbbbbbb)"},
		},
		"the environment": {
			image + `container: {port: 80, env: {LOG_LEVEL: info, OLD: "1", EMPTY: "", SAID: a b, DB_PASSWORD: x, BACK: "https://ann:pw@db/x", GONE_TOKEN: t}}`,
			image + `container: {port: 80, env: {LOG_LEVEL: debug, NEW: "2", EMPTY: "0", SAID: "a\nb", DB_PASSWORD: y, BACK: "https://db/x", API_KEY: k}}`,
			[]string{
				"container.env.BACK: changed, not shown",
				"container.env.DB_PASSWORD: changed, not shown",
				`container.env.EMPTY: "" -> 0`,
				"container.env.GONE_TOKEN: removed",
				"container.env.LOG_LEVEL: info -> debug",
				"container.env.OLD: removed, was 1",
				`container.env.SAID: "a b" -> "a\nb"`,
				"container.env.API_KEY: added, not shown",
				"container.env.NEW: added: 2",
			},
		},
		"how containers run": {
			image + "container: {port: 80, env_file: /etc/a.env, command: [serve, --token=1], memory: 256m, health: {path: /a}}",
			image + "replicas: 3\ncontainer: {port: 81, env_file: /etc/b.env, command: [serve, -v, --token=2], cpus: 0.5, network: web, health: {path: /b, timeout: 1m}}",
			[]string{
				"replicas: 1 -> 3",
				"listen: :80 -> :81",
				"container.port: 80 -> 81",
				"container.env_file: /etc/a.env -> /etc/b.env",
				"container.command: serve --token=*** -> serve -v --token=***",
				"container.network: added: web",
				"container.memory: removed, was 256m",
				"container.cpus: added: 0.5",
				"container.health.path: /a -> /b",
				"container.health.timeout: 30s -> 1m",
			},
		},
		"only a secret of the command": {
			image + "container: {port: 80, command: [sh, -c, serve --password a]}", image + "container: {port: 80, command: [sh, -c, serve --password b]}",
			[]string{"container.command: changed, not shown"},
		},
		"who gets it, and how": {
			image + "container: {port: 80}\nhosts: {names: [a, b, c]}", image + "container: {port: 80}\nhosts: {names: [b, c, d]}\nrouting: weights",
			[]string{"hosts: added: d; removed: a", "routing: sticky -> weights"},
		},
		"hosts by label": {
			image + "container: {port: 80}", image + "container: {port: 80}\nhosts: {labels: {zone: b, role: web}}",
			[]string{"hosts: all -> role=web, zone=b"},
		},
		"a step between two": {
			image + "container: {port: 80}\nsteps: [{hosts: 1, weight: 5%}, {}]",
			image + "container: {port: 80}\nsteps: [{hosts: 1, weight: 5%}, {hosts: 25%, weight: 20.5%, hold: 90s, approve: true}, {}]",
			[]string{"step 2: added: hosts 25%, weight 20.5%, hold 1m30s, approve"},
		},
		"steps that change and go": {
			image + "container: {port: 80}\nsteps: [{weight: 5%}, {weight: 10%}, {}]", image + "container: {port: 80}\nsteps: [{weight: 6%}, {}]",
			[]string{"step 1: hosts 100%, weight 5% -> hosts 100%, weight 6%", "step 2: removed, was hosts 100%, weight 10%"},
		},
		"gates": {
			image + "container: {port: 80}\ngates:\n  latency: {quantile: p99.9, max_increase: 20%}\n  checks: {name: till, path: /till}",
			image + "container: {port: 80}\ngates:\n  alpha: 2.5%\n  errors: {max_increase: 1%, observe: true}\n  saturation: on\n  checks: {name: till, url: \"https://till/?token=1\", when: status == 200, required: false}",
			[]string{
				"gates.alpha: 1% -> 2.5%",
				"gates.errors.max_increase: 0.5% -> 1%",
				"gates.errors.observe: added: true",
				"gates.latency-p99-9: removed, was quantile p99.9, max_increase 20%, min_requests 100",
				"gates.till.path: removed, was /till",
				"gates.till.url: added, not shown",
				"gates.till.max_increase: removed, was 10%",
				"gates.till.min_checks: removed, was 20",
				`gates.till.when: added: "status == 200"`,
				"gates.till.every: 5s -> 10s",
				"gates.till.failures: added: 3",
				"gates.till.required: added: false",
				"gates.saturation: added: memory.max_increase 50%, throttling.max_increase 10%, restarts 0",
			},
		},
		"the other rules": {
			image + "container: {port: 80}\npace: {regression: 3%, exposure: 40}",
			image + "container: {port: 80}\nstrategy: bluegreen\non_failure: pause\non_control_loss: hold\ndeadline: 2h\nlost_after: 90s\nmax_lost: 3",
			[]string{
				"strategy: canary -> bluegreen",
				"pace: auto (regression 3%, exposure 40) -> steps",
				"step 1: added: hosts 100%, weight 0%",
				"step 2: added: hosts 100%, weight 100%, hold 5m",
				"on_failure: rollback -> pause",
				"on_control_loss: revert -> hold",
				"deadline: 1h -> 2h",
				"lost_after: 2m -> 1m30s",
				"max_lost: 10% -> 3",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, Of(side(t, c.from), side(t, c.to))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestOfAll: whatever key of a file is changed is told of, where it has a meaning: by itself, with fixed
// steps, or with counts in place of shares.
func TestOfAll(t *testing.T) {
	text, err := os.ReadFile("../../deploy/examples/gates.yaml")
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := specfile.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := json.Marshal(parsed)
	if err != nil {
		t.Fatal(err)
	}
	spec := func(alter func(*rollout.Spec)) rollout.Spec {
		var s rollout.Spec
		if err := json.Unmarshal(encoded, &s); err != nil {
			t.Fatal(err)
		}
		s.Container.Env, s.Container.Command = map[string]string{"A": "1"}, []string{"serve"}
		alter(&s)
		return s
	}
	of := func(s rollout.Spec) Side { return Side{rollout.NewRevision(s, "shop/checkout@sha256:0"), s} }
	told := map[string]bool{}
	for _, alter := range []func(*rollout.Spec){
		func(s *rollout.Spec) { s.Hosts.Names = []string{"web-01"} },
		func(s *rollout.Spec) { s.Pace, s.Hosts.Names = rollout.FixedPace, []string{"web-01"} },
		func(s *rollout.Spec) {
			s.Pace, s.Steps[0].Hosts, s.MaxLost = rollout.FixedPace, rollout.HostCount{Count: 1}, &rollout.HostCount{Count: 1}
		},
	} {
		for k := 0; ; k++ {
			changed, at := spec(alter), k
			field := touch(reflect.ValueOf(&changed).Elem(), "", &at)
			if field == "" {
				break
			}
			told[field] = told[field] || len(Of(of(spec(alter)), of(changed))) > 0
		}
	}
	for field, is := range told {
		if is == (field == ".Service") { // both sides are of one service
			t.Errorf("%s: told of: %t", field, is)
		}
	}
	if len(told) < 60 {
		t.Errorf("only %d fields have been changed", len(told))
	}
}

// touch changes one value: the one after so many others. It returns what it is
// called, "" if there are no more.
func touch(v reflect.Value, name string, skip *int) string {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if got := touch(v.Field(i), name+"."+v.Type().Field(i).Name, skip); got != "" {
				return got
			}
		}
		return ""
	case reflect.Pointer:
		if v.IsNil() {
			return ""
		}
		return touch(v.Elem(), name, skip)
	case reflect.Slice:
		for i := range v.Len() {
			if got := touch(v.Index(i), name+"[]", skip); got != "" {
				return got
			}
		}
		return ""
	default:
	}
	if *skip--; *skip >= 0 {
		return ""
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(v.String() + "x")
	case reflect.Bool:
		v.SetBool(!v.Bool())
	case reflect.Int, reflect.Int64:
		v.SetInt(v.Int() + int64(time.Second))
	case reflect.Map:
		m := reflect.MakeMap(v.Type())
		m.SetMapIndex(reflect.ValueOf("x"), reflect.ValueOf("y"))
		v.Set(m)
	default:
		panic(v.Kind().String() + " " + name)
	}
	return name
}

func TestSecrets(t *testing.T) {
	for _, name := range []string{"DB_PASSWORD", "apiToken", "AWS_SECRET_ACCESS_KEY", "STRIPE_KEY", "auth", "private-key", "DSN"} {
		if !namesSecret(name) {
			t.Errorf("%s is shown", name)
		}
	}
	for _, name := range []string{"LOG_LEVEL", "MONKEY", "AUTHOR", "PORT", "PASSENGERS"} {
		if namesSecret(name) {
			t.Errorf("%s is hidden", name)
		}
	}
	for _, value := range []string{
		"postgres://ann:pw@db/shop", "see https://x/?a=1&api_key=2", "AKIAIOSFODNN7EXAMPLE", "ghp_0123456789abcdefghijABCDEFGHIJ012345",
		"-----BEGIN PRIVATE KEY-----", "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.e30.x", "odd://a@%zz",
	} {
		if !looksSecret(value) {
			t.Errorf("%s is shown", value)
		}
	}
	for _, value := range []string{"info", "", "https://shop.example.com/a?b=c", "550e8400-e29b-41d4-a716-446655440000", "a-rather-long-name-of-a-flag-2", "/var/lib/checkout/data"} {
		if looksSecret(value) {
			t.Errorf("%s is hidden", value)
		}
	}
	for words, want := range map[[2]string]string{
		{"", "--token=abc"}: "--token=***", {"--token", "abc"}: "***", {"-v", "abc"}: "abc", {"", "MODE=x"}: "MODE=x",
		{"", "A_KEY=b exec serve --pw c"}: "A_KEY=*** exec serve --pw ***",
		{"", "https://ann:pw@db"}:         "***",
	} {
		if got := masked(words[0], words[1]); got != want {
			t.Errorf("%q: %s, want %s", words, got, want)
		}
	}
}
