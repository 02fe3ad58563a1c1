package live

import (
	"strings"
	"testing"

	tea "charm.land/bubbletea/v2"

	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/goldentest"
)

// fleetAt is two hosts of two services, so many seconds on; the canary of checkout
// has ten requests a second on web-01, of which two fail.
func fleetAt(seconds int64) Told {
	run := running().RolloutStatus
	return Told{
		Now:      at(int(seconds)),
		Services: []api.ServiceStatus{{Service: "checkout", Running: true, Rollout: &run}, {Service: "search"}},
		Hosts: []api.HostStatus{
			{Host: "web-01", Live: true, Version: "0.9.0", SeenMS: 300, Services: []api.HostService{
				{
					Service: "checkout", Settled: true, Stable: "r1", StableVersion: "1.3.2", StableReady: 2, Canary: "r2", CanaryVersion: "1.4.0", CanaryReady: 1,
					Weight: 2000, Counting: "a", StableServed: api.Counts{Requests: 1000 + 40*seconds}, CanaryServed: api.Counts{Requests: 10 * seconds, Errors: 2 * seconds},
				},
				{Service: "search", Settled: true, Stable: "r9", StableReady: 1, Counting: "a", StableServed: api.Counts{Requests: 7}},
			}},
			{Host: "web-02", Version: "0.9.0", SeenMS: 42_000, Services: []api.HostService{
				{Service: "checkout", Settled: true, Stable: "r1", StableVersion: "1.3.2", StableReady: 2, Counting: "b", StableServed: api.Counts{Requests: 60 * seconds, Errors: seconds}},
			}},
		},
	}
}

func top(t *testing.T, msgs ...tea.Msg) Top {
	t.Helper()
	var m tea.Model = NewTop(plainly())
	for _, msg := range msgs {
		m, _ = m.Update(msg)
	}
	x, ok := m.(Top)
	if !ok {
		t.Fatalf("became %T", m)
	}
	return x
}

func TestTopPictures(t *testing.T) {
	for name, x := range map[string]struct {
		width, height int
		more          []tea.Msg
	}{
		"usual":    {80, 24, nil},
		"narrow":   {40, 10, nil},
		"hosts":    {80, 14, []tea.Msg{press("2")}},
		"rollouts": {120, 14, []tea.Msg{press("3")}},
		"errors":   {80, 14, []tea.Msg{press("e")}},
		"help":     {90, 20, []tea.Msg{press("?")}},
		"cut-off":  {80, 14, []tea.Msg{Remark{"no leader answers just now", at(9)}}},
	} {
		m := top(t, append([]tea.Msg{tea.WindowSizeMsg{Width: x.width, Height: x.height}, fleetAt(1), fleetAt(5)}, x.more...)...)
		goldentest.Compare(t, "top-"+name+".txt", m.Picture()+"\n")
		fits(t, m.Picture(), x.width, x.height)
	}
}

// TestRates: of what can be compared alone.
func TestRates(t *testing.T) {
	begunAnew := fleetAt(5)
	begunAnew.Hosts[0].Services[0].Counting = "c"
	gone := fleetAt(5)
	gone.Hosts[0].Services[0].CanaryServed = api.Counts{Requests: 3}
	for name, x := range map[string]struct {
		told []Told
		want string // requests a second and errors of checkout's canary, and requests of its stable version
	}{
		"told once":    {[]Told{fleetAt(1)}, "- - -"},
		"told twice":   {[]Told{fleetAt(1), fleetAt(5)}, "10.0 20.00% 100.0"},
		"begun anew":   {[]Told{fleetAt(1), begunAnew}, "- - 60.0"},
		"gone":         {[]Told{fleetAt(1), gone}, "- - 100.0"},
		"long ago":     {[]Told{{Now: at(-100)}, fleetAt(-90), fleetAt(0), fleetAt(5), fleetAt(11)}, "10.0 20.00% 100.0"},
		"at one time":  {[]Told{fleetAt(1), fleetAt(1)}, "- - -"},
		"nothing ever": {nil, ""},
	} {
		var history History
		for _, told := range x.told {
			history = history.With(told)
		}
		var got []string
		for _, line := range NewTop(plainly()).Of(history).trackLines() {
			cells := strings.Fields(line)
			switch {
			case strings.HasPrefix(line, "checkout  canary"):
				got = append([]string{cells[6], cells[7]}, got...)
			case strings.HasPrefix(line, "checkout  stable"):
				got = append(got, cells[6])
			}
		}
		if text := strings.Join(got, " "); text != x.want {
			t.Errorf("%s: %q, want %q", name, text, x.want)
		}
	}
}

func TestTopIsLeft(t *testing.T) {
	for _, msg := range []tea.Msg{press("q"), press("ctrl+c"), Over{}} {
		_, cmd := top(t, fleetAt(1)).Update(msg)
		if cmd == nil {
			t.Fatalf("%v: stays", msg)
		}
		if _, ok := cmd().(tea.QuitMsg); !ok {
			t.Errorf("%v: stays", msg)
		}
	}
}
