//go:build reference

package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

const cliIntro = `# The command line

<!-- Written by "make generate" from the commands themselves. -->

What ` + "`serin help`" + ` says of each command. The flags of all commands are listed once, under [serin](#serin).

`

// references is a command of builds that write documentation: it links more than
// the program needs.
func references(*app) []*cobra.Command {
	return []*cobra.Command{{
		Use: "reference DIR", Hidden: true, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return writeReference(cmd.Root(), args[0]) },
	}}
}

// Private

// writeReference writes DIR/docs/cli.md, and the manual to DIR/man.
func writeReference(root *cobra.Command, dir string) error {
	root.DisableAutoGenTag = true
	root.InitDefaultCompletionCmd("completion")
	pages := bytes.NewBufferString(cliIntro)
	if err := appendPages(pages, root); err != nil {
		return err
	}
	docs, man := filepath.Join(dir, "docs"), filepath.Join(dir, "man")
	err := errors.Join(os.MkdirAll(docs, 0o755), os.MkdirAll(man, 0o755))
	if err == nil {
		err = os.WriteFile(filepath.Join(docs, "cli.md"), pages.Bytes(), 0o644)
	}
	if err != nil {
		return err
	}
	return writeManual(root, man)
}

// switched is what follows an option that is on or off in the pages that doc makes:
// [=false], as if one typed that.
var switched = regexp.MustCompile(`(?m)^(\\fB-.*\\fP)\[=(?:true|false)\]$`)

// writeManual writes the page of a command, and of all under it.
func writeManual(cmd *cobra.Command, dir string) error {
	if !cmd.IsAvailableCommand() && cmd.HasParent() || cmd.IsAdditionalHelpTopicCommand() {
		return nil
	}
	for _, sub := range cmd.Commands() {
		if err := writeManual(sub, dir); err != nil {
			return err
		}
	}
	cmd.DisableAutoGenTag = true
	var page bytes.Buffer
	if err := doc.GenMan(cmd, &doc.GenManHeader{Section: "1", Source: "serin", Manual: "serin"}, &page); err != nil {
		return err
	}
	name := strings.ReplaceAll(cmd.CommandPath(), " ", "-") + ".1"
	return os.WriteFile(filepath.Join(dir, name), switched.ReplaceAll(page.Bytes(), []byte("$1")), 0o644)
}

// inherited are the global flags under each command, and seeAlso its way back.
var (
	inherited = regexp.MustCompile("(?s)### Options inherited from parent commands\n\n```\n.*?```\n\n")
	seeAlso   = regexp.MustCompile(`(?s)### SEE ALSO\n.*$`)
)

func appendPages(to *bytes.Buffer, cmd *cobra.Command) error {
	if cmd.Hidden || cmd.Name() == "help" {
		return nil
	}
	cmd.DisableAutoGenTag = true
	var page bytes.Buffer
	if err := doc.GenMarkdown(cmd, &page); err != nil {
		return err
	}
	text := seeAlso.ReplaceAll(inherited.ReplaceAll(page.Bytes(), nil), nil)
	to.Write(bytes.TrimSpace(text))
	to.WriteString("\n\n")
	for _, sub := range cmd.Commands() {
		if err := appendPages(to, sub); err != nil {
			return err
		}
	}
	return nil
}
