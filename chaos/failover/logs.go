package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// keepLogs copies the logs of all programs of the fleet, whose directory goes with
// it. The error that it returns says where they are, or why they are not.
func (f *fleet) keepLogs() error {
	kept, err := copyLogs(f.Dir)
	if err != nil {
		return fmt.Errorf("keep the logs: %w", err)
	}
	return errors.New("the logs are in " + kept)
}

// copyLogs copies the logs in a directory into a new one.
func copyLogs(from string) (to string, err error) {
	logs, err := filepath.Glob(filepath.Join(from, "*.log"))
	if err != nil {
		return "", err
	}
	if to, err = os.MkdirTemp("", "failover-logs-"); err != nil {
		return "", err
	}
	for _, path := range logs {
		data, err := os.ReadFile(path)
		if err != nil {
			return "", err
		}
		if err := os.WriteFile(filepath.Join(to, filepath.Base(path)), data, 0o600); err != nil {
			return "", err
		}
	}
	return to, nil
}
