package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/serin-rollouts/serin/cmd/serin/client"
	"github.com/serin-rollouts/serin/cmd/serin/show"
	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/durable"
	"github.com/serin-rollouts/serin/internal/rollout"
)

const (
	snapshotTries = 3         // to read one backup from one leader
	largestBackup = 256 << 20 // bytes; a fleet's state is some megabytes
)

func newClusterSnapshot(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "snapshot FILE",
		Short: "Save what the replicas agree on; - is standard output",
		Long: "Save what the replicas agree on: services, stable revisions, rollouts, answers to triggers.\n" +
			"A new group is made of it by `serin-coordinator restore`, on each of its machines (`serin cluster\n" +
			"restore` says how). The event log is not in it: that is NATS's. The file may hold secrets from\n" +
			"container.env.",
		Example: "  serin cluster snapshot serin-$(date +%F).backup",
		Args:    oneOf("file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			return a.with(ctx, func(c *client.Client) error {
				saved, err := readBackup(ctx, c)
				if err != nil {
					return err
				}
				if args[0] == "-" {
					_, err := a.out.Write(saved.Data)
					return err
				}
				if err := durable.Write(args[0], saved.Data); err != nil {
					return err
				}
				saved.Data = nil
				return a.print(saved, func(out io.Writer, _ show.Options) error {
					return line(out, "%s: %d bytes, up to entry %d", args[0], saved.Size, saved.Index)
				}, []string{args[0]})
			})
		},
	}
}

// Private

// readBackup reads a backup in parts, from the start if the leader changes.
func readBackup(ctx context.Context, c *client.Client) (api.SnapshotPart, error) {
	var saved api.SnapshotPart
	var err error
	for range snapshotTries {
		saved, err = readParts(ctx, c)
		if r, ok := errors.AsType[*rollout.Refusal](err); !ok || r.Code != rollout.CodeStale {
			break
		}
	}
	return saved, err
}

func readParts(ctx context.Context, c *client.Client) (api.SnapshotPart, error) {
	first, err := client.Get[api.SnapshotPart](ctx, c, api.GetSnapshot, "")
	if err != nil {
		return first, err
	}
	if first.Size > largestBackup {
		return first, fmt.Errorf("the backup has %d bytes, more than %d", first.Size, largestBackup)
	}
	data := bytes.Clone(first.Data)
	for len(data) < first.Size {
		part, err := client.Get[api.SnapshotPart](ctx, c, api.GetSnapshot, first.ID+"-"+strconv.Itoa(len(data)))
		if err != nil {
			return first, err
		}
		if part.ID != first.ID || part.Offset != len(data) || len(part.Data) == 0 {
			return first, errors.New("the backup came in parts that do not fit together; try again")
		}
		data = append(data, part.Data...)
	}
	if sum := sha256.Sum256(data); len(data) != first.Size || hex.EncodeToString(sum[:]) != first.SHA256 {
		return first, errors.New("the backup was damaged on its way; try again")
	}
	first.Data = data
	return first, nil
}
