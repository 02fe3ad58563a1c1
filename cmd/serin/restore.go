package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/serin-rollouts/serin/cmd/serin/show"
	"github.com/serin-rollouts/serin/internal/rollout"
	"github.com/serin-rollouts/serin/internal/statefile"
)

// backup is what a file of `serin cluster snapshot` has in it.
type backup struct {
	File     string   `json:"file"`
	Index    uint64   `json:"index"`    // of the last entry in it
	Services []string `json:"services"` // by name
	Running  []string `json:"running"`  // rollouts
	Commands []string `json:"commands"` // on the machine of each replica of the new group
}

func newClusterRestore(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "restore FILE",
		Short: "Look at a snapshot, and say how a new group is made of it",
		Long: "Look at a file of `serin cluster snapshot` or `serin-coordinator salvage`, without a coordinator:\n" +
			"whether it is whole, and what is in it. It changes nothing, and says what to run on the machines of\n" +
			"a new group, while no coordinator runs there: a replica's directory is written only where it is, by\n" +
			"`serin-coordinator restore`. - is standard input.",
		Example: "  serin cluster restore serin.backup\n  serin cluster restore serin.backup -o json | jq -r '.running[]'",
		Args:    oneOf("file"),
		RunE:    func(_ *cobra.Command, args []string) error { return a.restore(args[0]) },
	}
}

// Private

func (a *app) restore(file string) error {
	data, err := a.readBackupFile(file)
	if err != nil {
		return err
	}
	s, err := statefile.Decode(bytes.NewReader(data))
	if err != nil {
		return usagef("%s: %v", file, err)
	}
	if s.AtLevel() > rollout.LevelNewest {
		return usagef("%s: it was written by a newer release (level %d, this one knows %d): use that one", file, s.AtLevel(), rollout.LevelNewest)
	}
	b := backup{File: file, Index: s.Index, Services: s.Names(), Running: running(s), Commands: restoring(file)}
	return a.print(b, func(out io.Writer, _ show.Options) error { return b.write(out) }, b.Services)
}

// readBackupFile reads a file of `serin cluster snapshot`, or standard input for "-".
func (a *app) readBackupFile(name string) ([]byte, error) {
	if name == "-" {
		return a.readFile(name)
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, usagef("%v; `serin cluster snapshot FILE` writes one", err)
	}
	return data, nil
}

// running returns the rollouts that have not ended, in the order of their services.
func running(s *rollout.State) []string {
	ids := []string{}
	for _, name := range s.Names() {
		if active := s.Services[name].Active; active != nil {
			ids = append(ids, active.ID)
		}
	}
	return ids
}

// restoring are the commands of docs/operations.md, for a file of that name.
func restoring(file string) []string {
	name := filepath.Base(file)
	if file == "-" {
		name = "serin.backup"
	}
	return []string{
		"mv /var/lib/serin-coordinator /var/lib/serin-coordinator.old",
		"install -d -o serin -g serin -m 700 /var/lib/serin-coordinator",
		"sudo -u serin serin-coordinator restore --config /etc/serin/coordinator.yaml < " + name,
	}
}

func (b backup) write(out io.Writer) error {
	services := "1 service"
	if n := len(b.Services); n != 1 {
		services = fmt.Sprintf("%d services", n)
	}
	what := "no rollout runs"
	if len(b.Running) > 0 {
		what = strings.Join(b.Running, ", ") + " in progress"
	}
	if err := line(out, "%s: whole, up to entry %d: %s, %s", b.File, b.Index, services, what); err != nil {
		return err
	}
	return line(out, "\nNothing was changed. With every replica stopped, run on the machine of each of the new group:\n\n"+
		"  %s\n\nWhen all of them are restored: systemctl start serin-coordinator", strings.Join(b.Commands, "\n  "))
}
