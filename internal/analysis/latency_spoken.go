package analysis

// fewUntold is how many of a host's requests its log may tell nothing of before it counts as silent:
// a few may still be under way, or were lost.
const fewUntold = 10

// spoken is what had been counted on a host when its log last told of requests.
type spoken struct{ requests, lines int64 }

// speaks tells whether the log speaks, by a report: it has told of more requests, or there are hardly
// any that it could tell of. What was told before is said again by reports with nothing new, and is
// no news.
func (j *latencyJudge) speaks(r Report) bool {
	was := j.spoken[r.Host]
	now := spoken{r.Canary.Requests, was.lines}
	for _, c := range r.Stable {
		now.requests += c.Requests
	}
	if r.Latencies != nil {
		now.lines = 0
	}
	for _, l := range r.Latencies {
		now.lines += l.Lines
	}
	if now.lines != was.lines || now.requests < was.requests {
		j.spoken[r.Host] = now
		return true
	}
	return was.lines > 0 && now.requests-was.requests < fewUntold
}
