package demo

import (
	"context"
	"fmt"
	"net"
	"os"

	"github.com/serin-rollouts/serin/internal/demoimage"
)

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
