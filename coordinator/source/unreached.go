package source

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"syscall"
)

// Unreached is an error of a source that has not answered at all, in the words
// that a person needs: where it was looked for, and what came of it.
type Unreached struct {
	Address string
	Err     error
}

// Error names the address and the innermost cause.
func (u *Unreached) Error() string {
	why := u.Err.Error()
	if errno, ok := errors.AsType[syscall.Errno](u.Err); ok {
		why = errno.Error() // without the layers of the network around it
	} else if errors.Is(u.Err, context.DeadlineExceeded) {
		why = "it takes too long"
	}
	return fmt.Sprintf("%s does not answer: %s", u.Address, why)
}

// Unwrap returns the cause.
func (u *Unreached) Unwrap() error { return u.Err }

// Private

// unreached returns an *Unreached where err says that a request got no answer,
// and nil otherwise.
func unreached(address string, err error) error {
	if failed, ok := errors.AsType[*url.Error](err); ok {
		return &Unreached{address, failed.Err}
	}
	return nil
}
