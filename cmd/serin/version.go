package main

import (
	"io"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/serin-rollouts/serin/cmd/serin/show"
)

// build is what `serin version -o json` prints.
type build struct {
	Version  string `json:"version"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func newVersion(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version of this program",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			b := build{version, runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH}
			return a.print(b, func(out io.Writer, _ show.Options) error {
				return line(out, "serin %s %s %s", b.Version, b.Go, b.Platform)
			}, []string{b.Version})
		},
	}
}
