package analysis

import "time"

// NoIncrease as Config.MaxIncrease allows canary no error more than stable has.
const NoIncrease = -1

// DefaultAlphaSafe bounds the chance that a version beyond a gate's margin passes a step, unless
// Config.AlphaSafe says otherwise.
const DefaultAlphaSafe = .05

// Config tells a Judge what to prove and how surely. Zero fields take their defaults.
type Config struct {
	// MaxIncrease is by how much canary's error rate may exceed stable's, in basis points (0.01
	// percentage points) of all requests; default 50. NoIncrease allows nothing.
	MaxIncrease int
	// Alpha bounds the chance that a version that is no worse is ever failed for what its hosts show
	// together, in parts per million; default 10000 (1 %).
	Alpha int
	// Apart bounds the chance that a host is ever named as the only bad one whose canary is no worse
	// than its stable, in parts per million; 0: none is named. Hosts is how many there are in the
	// rollout, among whom it is split; with fewer than have been heard of, those.
	Apart, Hosts int
	// Past bounds the chance that hosts that differ of themselves are taken for a version that is
	// worse, where hosts are compared with hosts, because their past shows less of a difference than
	// there is; in parts per million. 0: no past is believed, see Report.Before.
	Past int
	// AlphaSafe bounds the chance that a version beyond the margin passes a step, in parts per
	// million; default 50000 (5 %).
	AlphaSafe int
	// MinRequests is the number of canary requests in the step before which nothing passes.
	MinRequests int64
	// Window is the length of a host-window; default 5 s. It should be longer than the bursts in
	// which errors come. It is fixed by NewJudge.
	Window time.Duration
	// Baseline holds frozen counts of stable, for hosts where no stable traffic runs beside
	// canary. If it is zero the host's own stable traffic of earlier windows serves.
	Baseline Counts
	// Noun is what is counted as bad, for people; "5xx" if empty.
	Noun string
}

func (c Config) withDefaults() Config {
	if c.MaxIncrease == 0 {
		c.MaxIncrease = 50
	}
	c.MaxIncrease = min(max(c.MaxIncrease, 0), 9_900)
	if c.Alpha <= 0 {
		c.Alpha = 10_000
	}
	if c.AlphaSafe <= 0 {
		c.AlphaSafe = DefaultAlphaSafe * 1_000_000
	}
	if c.Window <= 0 {
		c.Window = 5 * time.Second
	}
	if c.Noun == "" {
		c.Noun = "5xx"
	}
	return c
}

// margin returns the allowed increase as a rate.
func (c Config) margin() float64 { return float64(c.MaxIncrease) / 1e4 }

// safeMargin returns the increase that Pass is proven against. No finite number of requests
// proves that there is none at all, so it is never less than a tenth of a point.
func (c Config) safeMargin() float64 { return max(c.margin(), .001) }

func (c Config) alpha() float64     { return min(.5, float64(c.Alpha)/1e6) }
func (c Config) alphaSafe() float64 { return min(.5, float64(c.AlphaSafe)/1e6) }

// longBlock returns how many windows make about a minute.
func (c Config) longBlock() int { return max(2, int((time.Minute+c.Window/2)/c.Window)) }
