package difference

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/serin-rollouts/serin/internal/rollout"
)

// Private

// image is what a person wrote, with the bytes that it stands for.
func image(r rollout.Revision) []fact {
	name, _, _ := strings.Cut(r.Name, "@")
	repository, digest, pinned := strings.Cut(r.Image, "@")
	if !pinned {
		repository, digest = "", r.Image // one that a host has built
	}
	if name == "" {
		name = repository
	}
	return []fact{{key: "image", value: r.Name + "\n" + r.Image, shown: strings.TrimSpace(name + " (" + short(digest) + ")")}}
}

// short is so much of a digest as tells it from others.
func short(digest string) string {
	const most = 12
	algorithm, sum, found := strings.Cut(digest, ":")
	if !found || len(sum) <= most {
		return clip(digest)
	}
	return algorithm + ":" + sum[:most]
}

func replicas(r rollout.Revision) []fact { return []fact{count("replicas", r.Replicas)} }

func frontend(f rollout.Frontend) []fact {
	return []fact{plain("listen", f.Listen), plain("backend", f.Backend), plain("routing", string(f.Routing))}
}

func container(c rollout.Container) []fact {
	all := []fact{count("port", c.Port)}
	for _, name := range slices.Sorted(maps.Keys(c.Env)) {
		all = append(all, variable(name, c.Env[name]))
	}
	return append(all,
		free("env_file", c.EnvFile), command(c.Command), free("user", c.User), free("network", c.Network),
		plain("memory", size(c.Memory)), plain("cpus", cpus(c.CPUMilli)),
		lasting("stop_grace", c.StopGrace), lasting("drain_limit", c.DrainLimit),
		plain("health.kind", string(c.Health.Kind)), free("health.path", c.Health.Path), lasting("health.timeout", c.Health.Timeout),
	)
}

// variable is one of the environment: it is there also if it is empty.
func variable(name, value string) fact {
	return fact{
		key: "env." + quoted(name), value: strconv.Quote(value), shown: quoted(value),
		hidden: namesSecret(name) || looksSecret(value),
	}
}

func command(words []string) fact {
	if len(words) == 0 {
		return fact{key: "command"}
	}
	var shown, all []string
	for k, word := range words {
		all = append(all, strconv.Quote(word))
		before := ""
		if k > 0 {
			before = words[k-1]
		}
		shown = append(shown, quoted(masked(before, word)))
	}
	return fact{key: "command", value: strings.Join(all, " "), shown: clip(strings.Join(shown, " "))}
}

// path is how the steps were chosen.
func path(s rollout.Spec) []fact {
	pace := string(s.Pace)
	if s.Auto != nil && s.Pace == rollout.AutoPace {
		pace += fmt.Sprintf(" (regression %s, exposure %d)", rollout.Percent(s.Auto.Regression), s.Auto.Exposure)
	}
	return []fact{plain("strategy", string(s.Strategy)), plain("pace", pace)}
}

func rules(s rollout.Spec) []fact {
	lost := ""
	if s.MaxLost != nil {
		lost = s.MaxLost.String()
	}
	return []fact{
		plain("on_failure", string(s.OnFailure)), plain("on_control_loss", string(s.OnControlLoss)),
		lasting("deadline", s.Deadline), lasting("lost_after", s.LostAfter), plain("max_lost", lost),
	}
}

// size writes bytes as the file does; empty if there is no limit.
func size(n int64) string {
	if n == 0 {
		return ""
	}
	unit := ""
	for _, next := range []string{"k", "m", "g"} {
		if n%1024 != 0 {
			break
		}
		n, unit = n/1024, next
	}
	return strconv.FormatInt(n, 10) + unit
}

func cpus(milli int) string {
	if milli == 0 {
		return ""
	}
	return strconv.FormatFloat(float64(milli)/1000, 'f', -1, 64)
}

// span writes 1h30m0s as 1h30m.
func span(d time.Duration) string {
	text := d.String()
	for _, nothing := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, nothing) {
			text = text[:len(text)-len(nothing)+1]
		}
	}
	return text
}

// quoted writes a text so that it is one word and moves no cursor.
func quoted(text string) string {
	odd := func(r rune) bool { return !strconv.IsPrint(r) || r == ' ' || r == '"' || r == '\\' }
	if text == "" || strings.ContainsFunc(text, odd) {
		return strconv.Quote(clip(text))
	}
	return clip(text)
}

// clip keeps lines short.
func clip(text string) string {
	const most = 200
	if r := []rune(text); len(r) > most {
		return string(r[:most]) + "…"
	}
	return text
}
