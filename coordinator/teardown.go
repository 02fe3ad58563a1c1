package coordinator

import (
	"context"
	"errors"
	"fmt"

	"github.com/rs/zerolog"
)

// teardown closes what was opened, the last first.
type teardown struct{ parts []part }

type part struct {
	name  string
	close func(context.Context) error
}

func (t *teardown) push(name string, close func(context.Context) error) {
	t.parts = append(t.parts, part{name, close})
}

// close closes everything, each part within closeTimeout, also after ctx has
// ended.
func (t *teardown) close(ctx context.Context, log zerolog.Logger) error {
	var errs []error
	for i := len(t.parts) - 1; i >= 0; i-- {
		p := t.parts[i]
		bounded, stop := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
		if err := p.close(bounded); err != nil {
			errs = append(errs, fmt.Errorf("close %s: %w", p.name, err))
		}
		stop()
		log.Debug().Str("part", p.name).Msg("closed")
	}
	return errors.Join(errs...)
}
