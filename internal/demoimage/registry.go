package demoimage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
	"golang.org/x/sync/errgroup"
)

// shutdownGrace is how long pulls in flight may go on after the context has ended.
const shutdownGrace = 2 * time.Second

// Serve is an image registry on ln until ctx ends; ln is closed then. Layers are kept as files in dir, which
// must exist and is the caller's to remove; with dir "" in memory, as the manifests always are. The registry
// asks nobody who they are: ln belongs on loopback.
func Serve(ctx context.Context, ln net.Listener, dir string) error {
	blobs := registry.NewInMemoryBlobHandler()
	if dir != "" {
		blobs = registry.NewDiskBlobHandler(dir)
	}
	silent := log.New(io.Discard, "", 0) // each request would be a line; failures reach the client
	server := &http.Server{
		Handler:           registry.New(registry.WithBlobHandler(blobs), registry.Logger(silent)),
		ErrorLog:          silent,
		ReadHeaderTimeout: 10 * time.Second,
	}
	var group errgroup.Group
	served, stop := context.WithCancel(ctx)
	group.Go(func() error {
		<-served.Done()
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownGrace)
		defer cancel()
		if err := server.Shutdown(grace); err != nil {
			return server.Close()
		}
		return nil
	})
	group.Go(func() error {
		defer stop()
		if err := server.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve image registry on %s: %w", ln.Addr(), err)
		}
		return nil
	})
	return group.Wait()
}
