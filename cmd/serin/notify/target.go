package notify

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/nicholas-fedor/shoutrrr/pkg/router"
	"github.com/nicholas-fedor/shoutrrr/pkg/types"
)

const (
	// attempt is how long a target may take to answer.
	attempt = 30 * time.Second
	// secretLength is from how many characters on a part of a URL may be a secret.
	secretLength = 6
)

// Target is one place that messages go to. Its name, and the errors of sending
// to it, hold none of the secrets in its URL.
type Target struct {
	name    string
	key     string // of its position: a digest of the URL
	secrets []string
	send    func(m Message) error
}

// Open reads a URL of shoutrrr's: slack://..., smtp://..., generic+https://...
func Open(rawURL string) (*Target, error) {
	parsed, err := url.Parse(rawURL)
	if err != nil || parsed.Scheme == "" {
		return nil, errors.New("a target is a URL that begins with slack://, teams://, smtp://, generic+https:// or the like")
	}
	digest := sha256.Sum256([]byte(rawURL))
	t := &Target{key: hex.EncodeToString(digest[:8])}
	t.name = parsed.Scheme + " " + t.key[:4]
	t.secrets = append(secretsOf(parsed), rawURL)
	service, err := new(router.ServiceRouter).Locate(rawURL)
	if errors.Is(err, router.ErrInitializeFailed) {
		err = cause(parsed, err)
	}
	if err != nil {
		return nil, fmt.Errorf("%s://...: %w", parsed.Scheme, t.clean(err))
	}
	t.send = func(m Message) error {
		params := types.Params{}
		params.SetTitle(m.Title)
		return service.Send(m.Body, &params)
	}
	return t, nil
}

// String is the target's kind and a few characters that tell it from others of
// that kind.
func (t *Target) String() string { return t.name }

// Send tries once. After a timeout the message may have arrived all the same.
func (t *Target) Send(ctx context.Context, m Message) error {
	ctx, stop := context.WithTimeout(ctx, attempt)
	defer stop()
	done := make(chan error, 1) // the library takes no context
	go func() { done <- t.send(m) }()
	select {
	case err := <-done:
		return t.clean(err)
	case <-ctx.Done():
		return fmt.Errorf("no answer: %w", context.Cause(ctx))
	}
}

// Private

// cause finds out what is wrong with a URL that a service does not take, since
// the library only tells that it does not.
func cause(u *url.URL, err error) error {
	service, unknown := new(router.ServiceRouter).NewService(u.Scheme)
	if unknown != nil {
		return err // generic+https and its like
	}
	if why := service.Initialize(u, nil); why != nil {
		return why
	}
	return err
}

// clean takes the secrets out of an error.
func (t *Target) clean(err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	for _, secret := range t.secrets {
		text = strings.ReplaceAll(text, secret, "***")
	}
	return errors.New(text)
}

// secretsOf are the parts of a URL that may be secret: chat services have their
// tokens anywhere in it.
func secretsOf(u *url.URL) []string {
	var all []string
	add := func(parts ...string) {
		for _, part := range parts {
			if len(part) >= secretLength {
				all = append(all, part, url.PathEscape(part), url.QueryEscape(part))
			}
		}
	}
	if password, ok := u.User.Password(); ok {
		add(password)
	}
	add(u.User.Username())
	add(strings.Split(u.Path, "/")...)
	for _, values := range u.Query() {
		add(values...)
	}
	return all
}
