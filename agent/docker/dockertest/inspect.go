package dockertest

import (
	"strings"
	"time"
)

// Private

// summary is the container's entry in GET /containers/json.
func (c *instance) summary() map[string]any {
	return map[string]any{
		"Id":              c.ID,
		"Names":           []string{"/" + c.Name},
		"Image":           c.Image,
		"ImageID":         c.ImageID,
		"Command":         strings.Join(c.Command, " "),
		"Created":         c.created.Unix(),
		"State":           c.State,
		"Status":          c.State,
		"Labels":          c.Labels,
		"HostConfig":      map[string]any{"NetworkMode": c.Network},
		"NetworkSettings": map[string]any{"Networks": c.endpoints()},
	}
}

// inspection is the answer to GET /containers/{id}/json.
func (c *instance) inspection() map[string]any {
	state := map[string]any{
		"Status":     c.State,
		"Running":    c.State == "running" || c.State == "paused" || c.State == "restarting",
		"Paused":     c.State == "paused",
		"Restarting": c.State == "restarting",
		"OOMKilled":  c.OOMKilled,
		"ExitCode":   c.ExitCode,
		"StartedAt":  wireTime(c.started),
		"FinishedAt": wireTime(c.finished),
	}
	if c.Health != "" {
		state["Health"] = map[string]any{"Status": c.Health, "FailingStreak": 0, "Log": []any{}}
	}
	return map[string]any{
		"Id":              c.ID,
		"Name":            "/" + c.Name,
		"Created":         wireTime(c.created),
		"Image":           c.ImageID,
		"RestartCount":    c.Restarts,
		"State":           state,
		"Config":          c.config,
		"HostConfig":      c.host,
		"NetworkSettings": map[string]any{"Networks": c.endpoints()},
	}
}

func (c *instance) endpoints() map[string]any {
	ip := ""
	if c.IP.IsValid() {
		ip = c.IP.String()
	}
	return map[string]any{c.Network: map[string]any{"IPAddress": ip}}
}

// wireTime writes the zero time as Docker writes "never".
func wireTime(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }
