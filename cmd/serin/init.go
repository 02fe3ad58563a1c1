package main

import (
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/serin-rollouts/serin/cmd/serin/show"
)

//go:embed templates/*.yaml
var templates embed.FS

const (
	dirMode  = 0o755
	fileMode = 0o644
)

func newInit(a *app) *cobra.Command {
	var cluster, force, dryRun bool
	cmd := &cobra.Command{
		Use:   "init [DIR]",
		Short: "Write an example rollout file, or configurations of the daemons",
		Long: "Write rollout.yaml, an example with every key explained, into DIR (or here). With --cluster\n" +
			"write coordinator.yaml and agent.yaml instead. What is there already stays as it is.",
		Example: "  serin init && serin check rollout.yaml\n  serin init --cluster /etc/serin",
		Args:    atMostOne("directory"),
		RunE: func(_ *cobra.Command, args []string) error {
			dir := "."
			if len(args) == 1 {
				dir = args[0]
			}
			files := []string{"rollout.yaml"}
			if cluster {
				files = []string{"coordinator.yaml", "agent.yaml"}
			}
			return a.init(dir, files, force, dryRun)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&cluster, "cluster", false, "write coordinator.yaml and agent.yaml")
	f.BoolVar(&force, "force", false, "overwrite what is there")
	f.BoolVar(&dryRun, "dry-run", false, "say what would be written, and write nothing")
	return cmd
}

// Private

// init writes all of the files, or none if one is in the way.
func (a *app) init(dir string, files []string, force, dryRun bool) error {
	paths := make([]string, 0, len(files))
	for _, name := range files {
		path := filepath.Join(dir, name)
		if _, err := os.Lstat(path); err == nil && !force {
			return exitf(exitRefused, "%s is there already; nothing was written (--force overwrites it)", path)
		}
		paths = append(paths, path)
	}
	verb := "would write"
	if !dryRun {
		verb = "wrote"
		if err := writeTemplates(dir, files, force); err != nil {
			return err
		}
	}
	return a.print(paths, func(out io.Writer, _ show.Options) error {
		return line(out, "%s %s", verb, strings.Join(paths, " and "))
	}, paths)
}

func writeTemplates(dir string, files []string, force bool) error {
	if err := os.MkdirAll(dir, dirMode); err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	for _, name := range files {
		if err := writeTemplate(name, filepath.Join(dir, name), force); err != nil {
			return err
		}
	}
	return nil
}

// writeTemplate never overwrites unless told to, even what has appeared just now.
func writeTemplate(name, path string, force bool) error {
	text, err := templates.ReadFile("templates/" + name)
	if err != nil {
		return fmt.Errorf("read example: %w", err)
	}
	mode := os.O_WRONLY | os.O_CREATE | os.O_EXCL
	if force {
		mode = os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	}
	file, err := os.OpenFile(path, mode, fileMode)
	if errors.Is(err, fs.ErrExist) {
		return exitf(exitRefused, "%s is there already; it stays as it is", path)
	}
	if err != nil {
		return fmt.Errorf("write example: %w", err)
	}
	_, err = file.Write(text)
	if err := errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("write example: %w", err)
	}
	return nil
}
