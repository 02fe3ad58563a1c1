// Command serin is the operator's tool: it starts rollouts, watches them,
// steers them, and says why they went as they did.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// version is set by the linker.
var version = "dev"

func main() {
	ends := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // nohup means to outlive the terminal
		ends = append(ends, syscall.SIGHUP)
	}
	ctx, stop := signal.NotifyContext(context.Background(), ends...)
	context.AfterFunc(ctx, stop) // a second signal ends at once
	os.Exit(run(ctx, os.Args[1:], streams{os.Stdin, os.Stdout, os.Stderr}))
}

// streams are where a command reads and writes: out is data, err is talk.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// run carries out one command line and returns the exit code.
func run(ctx context.Context, args []string, s streams) int {
	a := &app{streams: s, env: os.Getenv}
	root := newRoot(a) //nolint:contextcheck // cobra hands the context to the commands
	root.SetArgs(args)
	root.SetIn(s.in)
	root.SetOut(s.out)
	root.SetErr(s.err)
	command, err := root.ExecuteContextC(ctx)
	return a.finish(command, err)
}
