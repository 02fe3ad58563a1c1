package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/user"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/mattn/go-isatty"

	"github.com/serin-rollouts/serin/cmd/serin/client"
	"github.com/serin-rollouts/serin/cmd/serin/show"
	"github.com/serin-rollouts/serin/internal/config"
)

const (
	defaultServer = "nats://127.0.0.1:4222"
	// defaultWait bounds the search for a leader: a failover takes a second or
	// two, a server's restart a few more.
	defaultWait = 10 * time.Second
	// triggerWait is as long as a coordinator may take to look an image up.
	triggerWait = time.Minute
)

// app is what the commands share: the streams and the global flags.
type app struct {
	streams
	env     func(string) string
	started bool // cobra found the command line in order
	wrote   bool // a document, on standard output
	// complained: standard error says what went wrong.
	complained bool

	settings settings
	loader   *config.Loader
	context  string // of --context

	output         string
	timeout        time.Duration
	quiet, verbose bool
	noColor        bool
	noInput, yes   bool
	dryRun         bool
	reason, person string
}

// dial connects to the bus as the settings say.
func (a *app) dial(ctx context.Context) (*client.Client, error) {
	var verbose io.Writer
	if a.verbose {
		verbose = a.err
	}
	if _, err := a.load(); err != nil {
		return nil, err
	}
	cfg := a.settings.client()
	cfg.Wait, cfg.Trace, cfg.Verbose = cmp.Or(a.timeout, defaultWait), a.env("TRACEPARENT"), verbose
	c, err := client.Dial(ctx, cfg)
	if err != nil {
		return nil, usagef("%v", err)
	}
	return c, nil
}

// with runs f with a connection, and closes it.
func (a *app) with(ctx context.Context, f func(*client.Client) error) error {
	c, err := a.dial(ctx)
	if err != nil {
		return err
	}
	defer func() { //nolint:contextcheck // closing has a limit of its own, also after Ctrl-C
		if err := c.Close(); err != nil && a.verbose {
			a.complain("%v", err)
		}
	}()
	return f(c)
}

// print writes data in the form that -o asks for. text is called for table and
// wide, names for name; both may be nil, which writes nothing.
func (a *app) print(v any, text func(io.Writer, show.Options) error, names []string) error {
	switch a.output {
	case "json", "yaml":
		return a.encode(v)
	case "name":
		for _, name := range names {
			if _, err := fmt.Fprintln(a.out, name); err != nil {
				return fmt.Errorf("write: %w", err)
			}
		}
		return nil
	}
	if text == nil {
		return nil
	}
	return text(a.out, a.show())
}

// structured reports whether standard output is for programs.
func (a *app) structured() bool { return a.output == "json" || a.output == "yaml" }

// say writes talk: remarks that are no data. It is silent with -q.
func (a *app) say(format string, args ...any) {
	if !a.quiet {
		_, _ = fmt.Fprintf(a.err, format+"\n", args...)
	}
}

// complain writes what went wrong, -q or not.
func (a *app) complain(format string, args ...any) {
	a.complained = true
	_, _ = fmt.Fprintf(a.err, "serin: "+format+"\n", args...)
}

// show returns how to render on standard output.
func (a *app) show() show.Options {
	return show.Options{Palette: show.Palette{On: a.colour(a.out)}, Wide: a.output == "wide", Now: time.Now()}
}

// Private

func (a *app) encode(v any) error {
	var b strings.Builder
	encoder := json.NewEncoder(&b)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return fmt.Errorf("encode output: %w", err)
	}
	text := []byte(b.String())
	if a.output == "yaml" {
		var err error
		if text, err = yaml.JSONToYAML(text); err != nil {
			return fmt.Errorf("encode output: %w", err)
		}
	}
	a.wrote = true
	if _, err := a.out.Write(text); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}

// colour reports whether a stream takes colour: a terminal does, unless told
// otherwise.
func (a *app) colour(w io.Writer) bool {
	switch {
	case a.noColor, a.env("NO_COLOR") != "":
		return false
	case a.env("CLICOLOR_FORCE") != "" && a.env("CLICOLOR_FORCE") != "0":
		return true
	}
	return a.terminal(w)
}

// terminal reports whether a stream is one that can be drawn on.
func (a *app) terminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && isatty.IsTerminal(f.Fd()) && a.env("TERM") != "dumb"
}

// confirm asks before something that hurts. Where nobody can answer it does
// not ask: a script means what it says.
func (a *app) confirm(question string) error {
	if a.yes || a.noInput || a.dryRun {
		return nil
	}
	f, ok := a.in.(*os.File)
	if !ok || !isatty.IsTerminal(f.Fd()) {
		return nil
	}
	_, _ = fmt.Fprintf(a.err, "%s [y/N] ", question)
	line, err := bufio.NewReader(a.in).ReadString('\n')
	if err != nil && line == "" {
		return exitf(exitUnexpected, "nothing was done: no answer (%v)", err)
	}
	switch strings.ToLower(strings.TrimSpace(line)) {
	case "y", "yes":
		return nil
	}
	return exitf(exitUnexpected, "nothing was done")
}

// by names who asks, for the record.
func (a *app) by() string {
	if name := cmp.Or(a.person, a.env("SERIN_BY"), a.env("USER")); name != "" {
		return name
	}
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return "cli"
}

// readFile reads a file, or standard input for "-".
func (a *app) readFile(name string) ([]byte, error) {
	if name == "-" {
		data, err := io.ReadAll(a.in)
		if err != nil {
			return nil, fmt.Errorf("read standard input: %w", err)
		}
		return data, nil
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, usagef("%v; `serin init` writes an example", err)
	}
	return data, nil
}
