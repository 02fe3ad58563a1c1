package coordinator

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/rs/zerolog"
)

// teardown closes what was opened, the last first.
type teardown struct{ parts []part }

type part struct {
	name string
	end  func(context.Context) error
}

func (t *teardown) push(name string, end func(context.Context) error) {
	t.parts = append(t.parts, part{name, end})
}

// close closes everything, each part within closeTimeout, also after ctx has
// ended.
func (t *teardown) close(ctx context.Context, log zerolog.Logger) error {
	var errs []error
	for _, p := range slices.Backward(t.parts) {
		bounded, stop := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
		if err := p.end(bounded); err != nil {
			errs = append(errs, fmt.Errorf("close %s: %w", p.name, err))
		}
		stop()
		log.Debug().Str("part", p.name).Msg("closed")
	}
	return errors.Join(errs...)
}

// unbounded is the end of a part that bounds its end itself.
func unbounded(end func() error) func(context.Context) error {
	return func(context.Context) error { return end() }
}
