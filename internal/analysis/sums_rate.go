package analysis

import (
	"errors"
	"time"
)

// RateSums are those of a gate that compares rates.
type RateSums struct {
	MaxIncrease int    `json:"max_increase_bp"` // 0: none is allowed
	Alpha       int    `json:"alpha_ppm"`
	Apart       int    `json:"apart_ppm,omitempty"`
	Among       int    `json:"among,omitempty"` // hosts of the rollout
	AlphaSafe   int    `json:"alpha_safe_ppm"`
	MinRequests int64  `json:"min_requests"`
	Noun        string `json:"noun"`
	Baseline    Counts `json:"baseline,omitzero"`

	Canary  Counts `json:"canary"`
	Stable  Counts `json:"stable"`
	Windows int64  `json:"windows"`
	Refused int64  `json:"refused,omitempty"`
	// Served and Waiting are the hosts on which canary has served, and those where it could and
	// has not. Spread is the sum over canary requests of their overdispersion, in 1/1024.
	Served  int   `json:"served"`
	Waiting int   `json:"waiting,omitempty"`
	Spread  int64 `json:"spread"`
	// Unlike and Past are as in Finding.
	Unlike int64 `json:"unlike,omitempty"`
	Past   int64 `json:"past,omitempty"`

	Worse  Evidence `json:"worse,omitzero"`
	Beyond Evidence `json:"beyond,omitzero"`
	Safer  Evidence `json:"safer,omitzero"`
	Within Evidence `json:"within,omitzero"`
	Odds   Evidence `json:"odds,omitzero"`
}

// UsageSums are those of the gate on saturation.
type UsageSums struct {
	MaxMemory   int `json:"max_memory_bp"`
	MaxRestarts int `json:"max_restarts"`

	Served   int    `json:"served"`
	Over     int    `json:"over,omitempty"`
	Growing  int    `json:"growing,omitempty"`
	Restarts int    `json:"restarts,omitempty"`
	Kills    int    `json:"kills,omitempty"`
	Wrong    int    `json:"wrong,omitempty"` // hosts with restarts
	Broken   bool   `json:"broken,omitempty"`
	First    string `json:"first,omitempty"`
	Only     string `json:"only,omitempty"`
	// Bytes and containers of both tracks.
	CanaryBytes      int64 `json:"canary_bytes"`
	CanaryContainers int64 `json:"canary_containers"`
	StableBytes      int64 `json:"stable_bytes"`
	StableContainers int64 `json:"stable_containers"`

	Periods   bool     `json:"periods,omitempty"` // there are CPU periods to compare
	Throttled RateSums `json:"throttled"`
}

// ConditionSums are those of a gate that a condition decides.
type ConditionSums struct {
	Most    int    `json:"most"`   // failures running that are too many
	Failed  int    `json:"failed"` // failures running
	Held    bool   `json:"held,omitempty"`
	Heard   bool   `json:"heard,omitempty"`
	Latched bool   `json:"latched,omitempty"`
	Text    string `json:"text,omitempty"`
	Missing string `json:"missing,omitempty"` // why it had no answer
	// Since is when it first had none.
	Since time.Duration `json:"since_ns,omitempty"`
}

// Private

func (j *rateJudge) sums(now time.Duration, into *Sums) { into.Rate = j.Judge.sums(now) }

func (j *Judge) sums(now time.Duration) *RateSums {
	c, m := j.config, &j.errors
	s := &RateSums{
		MaxIncrease: c.MaxIncrease, Alpha: c.Alpha, Apart: c.Apart, Among: c.Hosts, AlphaSafe: c.AlphaSafe,
		MinRequests: c.MinRequests, Noun: c.Noun, Baseline: c.Baseline,
		Canary: j.step.canary, Stable: j.step.stable, Windows: j.step.windows, Refused: j.refused,
		Spread: int64(j.step.spread * 1024), Unlike: j.step.groups.unlike, Past: j.step.groups.past,
		Safer: m.safer.sums(), Within: m.within.sums(), Odds: m.odds.sums(),
	}
	for _, h := range j.hosts {
		switch {
		case h.served:
			s.Served++
		case h.hasCanary && now-h.cut.heard <= longest:
			s.Waiting++
		}
	}
	worse := m.worse.aided()
	host := suspect([]*broad{worse}, c)
	s.Worse, s.Beyond = worse.sums(host), m.beyond.aided().sums(host)
	return s
}

func (s *RateSums) judge(at time.Duration) (*Judge, error) {
	j := NewJudge(Config{})
	j.config = Config{
		MaxIncrease: s.MaxIncrease, Alpha: s.Alpha, Apart: s.Apart, Hosts: s.Among, AlphaSafe: s.AlphaSafe,
		MinRequests: s.MinRequests, Window: j.config.Window, Noun: s.Noun, Baseline: s.Baseline,
	}
	j.step = stepTotals{canary: s.Canary, stable: s.Stable, windows: s.Windows, spread: float64(s.Spread) / 1024}
	j.step.groups = groups{s.Unlike, s.Past}
	j.refused = s.Refused
	if err := crowd(s.Served, s.Waiting); err != nil {
		return nil, err
	}
	for k := range s.Served {
		j.hosts[stranger(k)] = &host{served: true}
	}
	for k := range s.Waiting {
		j.hosts[stranger(s.Served+k)] = &host{hasCanary: true, cut: &cutter[Counts]{heard: at}}
	}
	m := &j.errors
	return j, errors.Join(
		s.Worse.broad(&m.worse), s.Beyond.broad(&m.beyond),
		s.Safer.pool(&m.safer), s.Within.pool(&m.within), s.Odds.pool(&m.odds),
	)
}

func (j *usageJudge) sums(now time.Duration, into *Sums) {
	into.Usage = usageSums(j, j.survey(), now)
}

func usageSums(j *usageJudge, s survey, now time.Duration) *UsageSums {
	return &UsageSums{
		MaxMemory: j.gate.MaxMemory, MaxRestarts: j.gate.MaxRestarts,
		Served: s.served, Over: s.over, Growing: s.growing, Restarts: s.restarts, Kills: s.kills, Wrong: s.wrong,
		Broken: s.broken, First: s.first, Only: s.only,
		CanaryBytes: s.canary.bytes, CanaryContainers: s.canary.containers,
		StableBytes: s.stable.bytes, StableContainers: s.stable.containers,
		Periods: j.periods, Throttled: *j.throttled.sums(now),
	}
}

// surveyed is a usageJudge that has the survey only.
type surveyed struct {
	*usageJudge

	seen survey
}

func (s *UsageSums) judge(at time.Duration) (judge, error) {
	throttled, err := s.Throttled.judge(at)
	j := &usageJudge{
		gate: UsageGate{MaxMemory: s.MaxMemory, MaxRestarts: s.MaxRestarts}, throttled: throttled, periods: s.Periods,
	}
	return &surveyed{usageJudge: j, seen: survey{
		served: s.Served, over: s.Over, growing: s.Growing, restarts: s.Restarts, kills: s.Kills, wrong: s.Wrong,
		broken: s.Broken, first: s.First, only: s.Only,
		canary: memorySum{bytes: s.CanaryBytes, containers: s.CanaryContainers},
		stable: memorySum{bytes: s.StableBytes, containers: s.StableContainers},
	}}, err
}

func (s *surveyed) finding(now time.Duration) Finding            { return s.conclude(now, s.seen) }
func (s *surveyed) outlier(now time.Duration) (host, why string) { return s.strange(now, s.seen) }

func (s *surveyed) sums(now time.Duration, into *Sums) {
	into.Usage = usageSums(s.usageJudge, s.seen, now)
}

func (j *conditionJudge) sums(_ time.Duration, into *Sums) {
	into.Condition = &ConditionSums{
		Most: j.most, Failed: j.failed, Held: j.held, Heard: j.heard, Latched: j.latched, Text: j.last.Text,
		Missing: j.missing, Since: j.since,
	}
}
