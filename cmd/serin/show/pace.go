package show

import (
	"fmt"

	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// Private

// pace says what an automatic pace bounds, and warns where the errors gate takes
// more than that to find the regression.
func pace(p api.Plan) string {
	a := p.Auto
	if a == nil {
		return ""
	}
	size := rollout.Percent(a.Regression)
	text := fmt.Sprintf("The pace is automatic: steps come in between, so that of a regression of %s points no more than %d\n"+
		"requests are expected to fail until it is taken back.\n", size, a.Exposure)
	const mend = "Raise pace.regression, or lower gates.errors.max_increase"
	switch {
	case p.Finding < 0:
		text += "Warning: that cannot be kept, for a regression that small is hardly found at all.\n" + mend + ".\n"
	case !a.Kept(p.Finding):
		text += fmt.Sprintf("Warning: that may not be kept: %d or more fail before the errors gate finds it, at any weight.\n%s, or raise pace.exposure.\n", p.Finding, mend)
	case p.Finding > 0:
		text += fmt.Sprintf("Of these about %d fail before the errors gate finds it, at any weight.\n", p.Finding)
	}
	return text
}
