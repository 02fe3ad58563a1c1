//go:build !reference

package main

import "github.com/spf13/cobra"

// references are the commands of builds that write documentation.
func references(*app) []*cobra.Command { return nil }
