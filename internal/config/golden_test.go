package config_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
)

// TestGolden shows what people see: the errors with their carets, and what --print-config writes.
//
//	load [args=(--flag=x,...)] [env=(NAME=x,...)]    the file is the input; prints the settings or the error
//	at key=nats.url [args] [env]                     the same, then the caller's own complaint about that key
func TestGolden(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			var args, env []string
			var key string
			for _, arg := range d.CmdArgs {
				switch arg.Key {
				case "args":
					args = arg.Vals
				case "env":
					env = arg.Vals
				case "key":
					key = arg.Vals[0]
				default:
					d.Fatalf(t, "unknown argument %s", arg.Key)
				}
			}
			_, settings, err := load(t, strings.ReplaceAll(d.Input, "<tab>", "\t"), env, args)
			if err != nil {
				return "error: " + err.Error() + "\n"
			}
			if key != "" {
				return "error: " + settings.At(key, errors.New("must not be this")).Error() + "\n"
			}
			var out strings.Builder
			if err := settings.Print(&out); err != nil {
				return "error: " + err.Error() + "\n"
			}
			return out.String()
		})
	})
}
