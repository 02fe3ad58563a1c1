// Package demoimage turns one static binary into container images, in this process: no docker build, no base
// image, nothing from outside. It also is the registry on loopback from which the demo's hosts pull them.
package demoimage

import (
	"archive/tar"
	"bytes"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strconv"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Where the binary stands in the image, and whom it runs as: nobody, since it needs no rights.
const (
	pathInImage = "app"
	userInImage = "65534:65534"
)

// App says what an image runs.
type App struct {
	Name   string            // repository in the registry
	Tag    string            // for people; it is no part of the image
	Binary string            // a static Linux executable on this machine, of this machine's architecture
	Args   []string          // its arguments
	Env    map[string]string // its environment
	Port   int               // the TCP port that it listens on; 0 is none
}

// Push builds the image of app and stores it in registry ("127.0.0.1:5000"; on loopback it speaks plain HTTP).
// It returns the reference by digest: 127.0.0.1:5000/name@sha256:.... Equal apps with equal binaries have
// equal digests, whenever and wherever they are built by the same Go.
func Push(ctx context.Context, registry string, app App) (string, error) {
	tag, err := name.NewTag(registry + "/" + app.Name + ":" + app.Tag)
	if err != nil {
		return "", fmt.Errorf("name image %s:%s: %w", app.Name, app.Tag, err)
	}
	img, err := build(app)
	if err != nil {
		return "", fmt.Errorf("build image %s: %w", tag, err)
	}
	if err := remote.Write(tag, img, remote.WithContext(ctx)); err != nil {
		return "", fmt.Errorf("push image %s: %w", tag, err)
	}
	digest, err := img.Digest()
	if err != nil {
		return "", fmt.Errorf("digest of image %s: %w", tag, err)
	}
	return tag.Context().Digest(digest.String()).String(), nil
}

// Private

func build(app App) (v1.Image, error) {
	binary, err := os.ReadFile(app.Binary)
	if err != nil {
		return nil, err
	}
	if err := runsAlone(binary); err != nil {
		return nil, fmt.Errorf("%s: %w", app.Binary, err)
	}
	archive, err := archiveOf(binary)
	if err != nil {
		return nil, err
	}
	// Not compressed: it goes no farther than loopback, and packing it would take seconds.
	img, err := mutate.AppendLayers(empty.Image, static.NewLayer(archive, types.DockerUncompressedLayer))
	if err != nil {
		return nil, err
	}
	file, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	file = file.DeepCopy()
	file.OS, file.Architecture = "linux", runtime.GOARCH
	file.Created = v1.Time{Time: time.Unix(0, 0).UTC()}
	file.Config = v1.Config{
		Entrypoint: []string{"/" + pathInImage},
		Cmd:        app.Args,
		User:       userInImage,
	}
	for _, key := range slices.Sorted(maps.Keys(app.Env)) {
		file.Config.Env = append(file.Config.Env, key+"="+app.Env[key])
	}
	if app.Port != 0 {
		file.Config.ExposedPorts = map[string]struct{}{strconv.Itoa(app.Port) + "/tcp": {}}
	}
	return mutate.ConfigFile(img, file)
}

// runsAlone refuses what could not start in an image that has no other file: Docker would only say
// "no such file or directory" about it, of the loader that it does not name.
func runsAlone(binary []byte) error {
	file, err := elf.NewFile(bytes.NewReader(binary))
	if err != nil {
		return fmt.Errorf("not a Linux executable: %w", err)
	}
	for _, prog := range file.Progs {
		if prog.Type == elf.PT_INTERP {
			return errors.New("needs shared libraries: build it with CGO_ENABLED=0")
		}
	}
	return nil
}

// archiveOf is the layer: the binary alone, with nothing in it that depends on when and where it is made.
func archiveOf(binary []byte) ([]byte, error) {
	var buf bytes.Buffer
	buf.Grow(len(binary) + 4096)
	w := tar.NewWriter(&buf)
	header := &tar.Header{Typeflag: tar.TypeReg, Name: pathInImage, Mode: 0o755, Size: int64(len(binary)), ModTime: time.Unix(0, 0)}
	if err := w.WriteHeader(header); err != nil {
		return nil, err
	}
	if _, err := w.Write(binary); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}
