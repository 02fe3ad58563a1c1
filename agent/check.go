package agent

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/serin-rollouts/serin/agent/docker"
	"github.com/serin-rollouts/serin/agent/haproxy"
)

// Check tries a configuration without changing anything but the state
// directories: whether they are ours, Docker answers and HAProxy is one that
// serin can drive. It returns what it found, in a line, and below it what the file of
// an existing HAProxy lacks for canaries.
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
	services := "1 service"
	if n := len(book.page.Accepted); n != 1 {
		services = fmt.Sprintf("%d services", n)
	}
	found = fmt.Sprintf("host %s: Docker %s, HAProxy %s, %s accepted", cfg.Host, info.EngineVersion, cfg.Mode, services)
	if cfg.Mode == Existing {
		found = strings.Join(append([]string{found}, advise(cfg.HAProxy.File, book)...), "\n")
	}
	return found, nil
}

// Private

// advise is what the agent would log about the file of an existing HAProxy.
func advise(file string, book *ledger) []string {
	const unseen = "nobody has looked whether that HAProxy's configuration has what canaries need"
	if file == "" {
		return []string{"haproxy.file is not set: " + unseen}
	}
	var backends []string
	for _, p := range book.page.Accepted {
		if name := p.Assignment.Frontend.Backend; name != "" {
			backends = append(backends, name)
		}
	}
	lacks, err := haproxy.Advice(file, backends)
	if err != nil {
		return []string{"haproxy.file: " + err.Error() + ": " + unseen}
	}
	return lacks
}
