package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/distribution/reference"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
)

// Image is a reference that means the same bytes for ever.
type Image struct {
	// Ref is what to run: "repository@sha256:<digest>", or
	// "sha256:<image id>" for an image that no registry knows.
	Ref string

	// Local says that only this host's Engine has the image, so that no other
	// host can pull it.
	Local bool
}

// Resolve pins an image reference to bytes, so that every host runs the same.
//
// A tag is looked up by the daemon at its registry. Where that fails, the
// daemon's own images are asked: one that once came from that repository is
// pinned by the digest that it had there, one that no registry knows by its
// id. A reference that names a digest is kept (without its tag, which then
// means nothing), and not looked up. The error says what the registry said
// and what the daemon said.
func (e *Engine) Resolve(ctx context.Context, ref string) (Image, error) {
	parsed, err := reference.ParseAnyReference(ref)
	if err != nil {
		return Image{}, fmt.Errorf("resolve image %q: %w: want repository:tag, repository@sha256:<digest> or sha256:<image id>", ref, err)
	}
	switch r := parsed.(type) {
	case reference.Named:
		if pinned, ok := r.(reference.Canonical); ok {
			return pin(pinned, pinned)
		}
		return e.resolveTag(ctx, reference.TagNameOnly(r))
	default: // an image id
		local, err := e.inspectImage(ctx, parsed.String())
		if err != nil {
			return Image{}, fmt.Errorf("resolve image %q: %w: an image id is known only where it was built or loaded", ref, err)
		}
		return Image{Ref: local.ID, Local: true}, nil
	}
}

// HasImage tells whether the image is on this host, so that a container of it
// starts without a pull.
func (e *Engine) HasImage(ctx context.Context, ref string) (bool, error) {
	_, err := e.inspectImage(ctx, ref)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// Pull brings a pinned image to this host and returns when it is there. It
// does nothing if it is there already. An image id cannot be pulled, so for
// one it only checks. A tag is refused: it may have moved since it was
// resolved. A failed pull is ErrPull.
func (e *Engine) Pull(ctx context.Context, ref string) error {
	parsed, err := reference.ParseAnyReference(ref)
	if err != nil {
		return fmt.Errorf("pull %q: %w: %w", ref, ErrPull, err)
	}
	named, isNamed := parsed.(reference.Named)
	if _, pinned := parsed.(reference.Digested); !pinned {
		return fmt.Errorf("pull %s: %w: a tag may have moved since it was chosen, pin it with Resolve", ref, ErrPull)
	}
	has, err := e.HasImage(ctx, ref)
	switch {
	case err != nil:
		return fmt.Errorf("pull %s: %w", ref, err)
	case has:
		return nil
	case !isNamed:
		return fmt.Errorf("pull %s: %w: %w: it is named by its id, which no registry knows: "+
			"`docker load` it on this host, or push it to a registry and name it by tag", ref, ErrPull, ErrNotFound)
	}
	return e.pull(ctx, named)
}

// RemoveImages removes this host's images of one repository, all tags and
// digests; an image that a container still uses is an error. None is fine. The
// bytes stay as long as another repository names them, too.
func (e *Engine) RemoveImages(ctx context.Context, repository string) error {
	var found []image.Summary
	err := e.call(ctx, e.cfg.CallTimeout, "list images of "+repository, func(ctx context.Context, s *session) error {
		var err error
		found, err = s.ImageList(ctx, image.ListOptions{Filters: filters.NewArgs(filters.Arg("reference", repository))})
		return err
	})
	errs := []error{err}
	for _, img := range found {
		for _, ref := range slices.Concat(img.RepoTags, img.RepoDigests) {
			if !strings.HasPrefix(ref, repository+":") && !strings.HasPrefix(ref, repository+"@") || strings.HasSuffix(ref, ":<none>") {
				continue
			}
			err := e.call(ctx, slowFactor*e.cfg.CallTimeout, "remove image "+ref, func(ctx context.Context, s *session) error {
				_, err := s.ImageRemove(ctx, ref, image.RemoveOptions{PruneChildren: true})
				return err
			})
			if !errors.Is(err, ErrNotFound) {
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(errs...)
}

// Private

// resolveTag asks the registry first and this host's images second.
func (e *Engine) resolveTag(ctx context.Context, named reference.Named) (Image, error) {
	name := reference.FamiliarString(named)
	pinned, remoteErr := e.askRegistry(ctx, named)
	if remoteErr == nil {
		return pinned, nil
	}
	if ctx.Err() != nil || errors.Is(remoteErr, errCredentials) {
		return Image{}, fmt.Errorf("resolve image %s: %w", name, remoteErr)
	}
	local, localErr := e.inspectImage(ctx, name)
	if localErr != nil {
		return Image{}, fmt.Errorf("%s is neither in its registry (%s) nor on this host\nthe registry: %w\nthis host: %w",
			name, cause(remoteErr), remoteErr, localErr)
	}
	pinned, err := pinLocal(named, local)
	if err != nil {
		return Image{}, err
	}
	e.cfg.Log.Warn().Str("image", name).Str("pinned", pinned.Ref).Bool("local", pinned.Local).AnErr("registry", remoteErr).
		Msg("no registry told the digest of the image; taking the one that this host has")
	return pinned, nil
}

// cause is what an error of the daemon ends with, which has many layers: the
// words of whoever refused.
func cause(err error) string {
	text := strings.Join(strings.Fields(err.Error()), " ")
	return strings.TrimSpace(text[strings.LastIndex(text, ": ")+1:])
}

// askRegistry lets the daemon ask, with its own proxies, mirrors and
// certificates.
func (e *Engine) askRegistry(ctx context.Context, named reference.Named) (Image, error) {
	auth, err := e.credentialsFor(named)
	if err != nil {
		return Image{}, err
	}
	var pinned Image
	err = e.call(ctx, e.cfg.CallTimeout, "ask the registry", func(ctx context.Context, s *session) error {
		got, err := s.DistributionInspect(ctx, named.String(), auth)
		if err != nil {
			return err
		}
		canonical, err := reference.WithDigest(reference.TrimNamed(named), got.Descriptor.Digest)
		if err != nil {
			return fmt.Errorf("the registry's digest %q: %w", got.Descriptor.Digest, err)
		}
		pinned, err = pin(named, canonical)
		return err
	})
	return pinned, err
}

func (e *Engine) inspectImage(ctx context.Context, ref string) (image.InspectResponse, error) {
	var got image.InspectResponse
	err := e.call(ctx, e.cfg.CallTimeout, "inspect image "+ref, func(ctx context.Context, s *session) error {
		var err error
		got, err = s.ImageInspect(ctx, ref)
		return err
	})
	return got, err
}

// pin writes name@digest in the short form that people use.
func pin(named reference.Named, by reference.Digested) (Image, error) {
	canonical, err := reference.WithDigest(reference.TrimNamed(named), by.Digest())
	if err != nil {
		return Image{}, fmt.Errorf("pin image %s to %s: %w", named, by.Digest(), err)
	}
	return Image{Ref: reference.FamiliarString(canonical)}, nil
}

// pinLocal prefers the digest that other hosts can pull, too.
func pinLocal(named reference.Named, local image.InspectResponse) (Image, error) {
	for _, text := range local.RepoDigests {
		from, err := reference.ParseNormalizedNamed(text)
		if err != nil {
			continue
		}
		if digested, ok := from.(reference.Digested); ok && from.Name() == named.Name() {
			return pin(named, digested)
		}
	}
	return Image{Ref: local.ID, Local: true}, nil
}

func (e *Engine) pull(ctx context.Context, named reference.Named) error {
	name := reference.FamiliarString(named)
	auth, err := e.credentialsFor(named)
	if err != nil {
		return fmt.Errorf("pull %s: %w: %w", name, ErrPull, err)
	}
	err = e.call(ctx, e.cfg.PullTimeout, "pull "+name, func(ctx context.Context, s *session) error {
		progress, err := s.ImagePull(ctx, named.String(), image.PullOptions{RegistryAuth: auth})
		if err != nil {
			return err
		}
		return errors.Join(readProgress(progress), progress.Close())
	})
	switch {
	case errors.Is(err, ErrUnavailable) || ctx.Err() != nil:
		return err
	case err != nil:
		return fmt.Errorf("%w: %w", ErrPull, err)
	}
	// A daemon that stops while it pulls may end the stream in good order.
	has, err := e.HasImage(ctx, name)
	if err == nil && !has {
		err = fmt.Errorf("pull %s: %w: the daemon reported no error, but does not have the image", name, ErrPull)
	}
	return err
}

// readProgress reads a stream of progress messages to its end. The status of
// the answer was 200 long before anything could fail, so that failures are
// messages of the stream.
func readProgress(r io.Reader) error {
	messages := json.NewDecoder(r)
	var failed error
	for {
		var m struct {
			Error string `json:"error"`
		}
		err := messages.Decode(&m)
		switch {
		case errors.Is(err, io.EOF):
			return failed
		case err != nil:
			return errors.Join(failed, fmt.Errorf("the daemon's progress messages broke off: %w", err))
		case m.Error != "":
			failed = errors.New(m.Error)
		}
	}
}
