package localfleet

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"github.com/serin-rollouts/serin/internal/demoimage"
)

// imageName is the demo app's repository in the fleet's registry.
const imageName = "serin-demo"

// Image names the demo app's image of a version.
func (f *Fleet) Image(tag string) string { return f.images() + ":" + tag }

// Push builds a version of the demo app from the serin program and puts it into
// the fleet's registry.
func (f *Fleet) Push(ctx context.Context, v Version) error {
	_, err := demoimage.Push(ctx, f.Registry, demoimage.App{
		Name: imageName, Tag: v.Tag, Binary: filepath.Join(f.Bin, "serin"), Port: AppPort,
		Args: v.Args(),
	})
	return err
}

// Registry serves images from dir, which it makes, until ctx ends.
func Registry(ctx context.Context, listen, dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the registry's directory: %w", err)
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", listen)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	return demoimage.Serve(ctx, listener, dir)
}

// Private

func (f *Fleet) images() string { return f.Registry + "/" + imageName }

func (f *Fleet) pushDemo(ctx context.Context) error {
	if err := f.awaitListener(ctx, f.Registry); err != nil {
		return err
	}
	for _, v := range Versions() {
		if err := f.Push(ctx, v); err != nil {
			return err
		}
	}
	return nil
}
