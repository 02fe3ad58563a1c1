// Reference writes the parts of docs/ that follow from the code:
//
//	reference DIR
//
// writes them below DIR, as DIR/docs/...
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/serin-rollouts/serin/internal/event"
	"github.com/serin-rollouts/serin/internal/specfile"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "reference:", err)
		os.Exit(1)
	}
}

// Private

// pages are the files below docs/, and what each consists of.
func pages() map[string]func() ([]byte, error) {
	return map[string]func() ([]byte, error){
		"configuration.md":    configurationPage,
		"event.schema.json":   event.Schema,
		"metrics.md":          metricsPage,
		"nats.md":             natsPage,
		"rollout-file.md":     rolloutPage,
		"rollout.schema.json": specfile.Schema,
	}
}

func run(args []string) error {
	if len(args) != 1 {
		return errors.New("usage: reference DIR")
	}
	docs := filepath.Join(args[0], "docs")
	if err := os.MkdirAll(docs, 0o755); err != nil {
		return err
	}
	for name, page := range pages() {
		text, err := page()
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if err := os.WriteFile(filepath.Join(docs, name), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}
