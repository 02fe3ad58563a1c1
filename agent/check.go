package agent

import (
	"context"
	"errors"
	"fmt"

	"github.com/serin-rollouts/serin/agent/docker"
)

// Check tries a configuration without changing anything but the state
// directories: whether they are ours, Docker answers and HAProxy is one that
// serin can drive. It returns what it found, in a line.
func Check(ctx context.Context, cfg Config) (found string, err error) {
	cfg = cfg.withDefaults()
	if err := cfg.Validate(); err != nil {
		return "", err
	}
	book, err := openLedger(cfg.DataDir, cfg.Host, nil)
	if err != nil {
		return "", err
	}
	engine, err := docker.Open(ctx, cfg.Docker)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, engine.Close()) }()
	info, err := engine.Info(ctx)
	if err != nil {
		return "", err
	}
	balancer, err := openProxy(ctx, cfg, engine)
	if err != nil {
		return "", err
	}
	if err := balancer.Close(); err != nil {
		return "", err
	}
	return fmt.Sprintf("host %s: Docker %s, HAProxy %s, %d services accepted", cfg.Host, info.EngineVersion, cfg.Mode, len(book.page.Accepted)), nil
}
