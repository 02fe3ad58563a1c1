package rollout

// Private

// telemetry is what agents have to gather for the gates; nil if it is no more than they do anyway.
func (g Gates) telemetry() *Telemetry {
	var t Telemetry
	if len(g.Latency) > 0 {
		t.Routes = g.Routes
	}
	for _, m := range g.Metrics {
		t.Metrics = append(t.Metrics, Scrape{
			Gate: m.Name, Path: m.Path, Port: m.Port, Bad: m.Bad, Total: m.Total, Read: m.Read, Every: m.Every,
		})
	}
	for _, c := range g.Checks {
		if c.Path != "" {
			t.Checks = append(t.Checks, Probe{Gate: c.Name, Path: c.Path, Every: c.Every, Timeout: c.Timeout})
		}
	}
	if len(t.Routes)+len(t.Metrics)+len(t.Checks) == 0 {
		return nil
	}
	return &t
}
