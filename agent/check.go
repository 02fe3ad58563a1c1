package agent

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/serin-rollouts/serin/agent/docker"
	"github.com/serin-rollouts/serin/agent/haproxy"
	"github.com/serin-rollouts/serin/internal/bus"
	"github.com/serin-rollouts/serin/internal/durable"
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

// Doctor is Check, and looks at the bus and at the room on the disk, too. It
// returns what it found, in lines, beside what is wrong.
func Doctor(ctx context.Context, cfg Config) (found []string, err error) {
	text, err := Check(ctx, cfg)
	if text != "" {
		found = append(found, text)
	}
	server, wrong := checkBus(ctx, cfg)
	if wrong == nil {
		found = append(found, "bus: "+server+" answers")
	}
	if free, size, unknown := durable.Room(cfg.DataDir); unknown == nil {
		const mebi = 1 << 20
		found = append(found, fmt.Sprintf("disk: %d of %d MiB are free under %s", free/mebi, size/mebi, cfg.DataDir))
	}
	return found, errors.Join(err, wrong)
}

// Private

// busPatience is how long a server of the bus may take to be there.
const busPatience = 5 * time.Second

// checkBus returns which server of the bus answers. The log says why none does.
func checkBus(ctx context.Context, cfg Config) (server string, err error) {
	ctx, stop := context.WithTimeout(ctx, busPatience)
	defer stop()
	conn, err := bus.Connect(ctx, cfg.Bus)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, hangUp(conn)) }() //nolint:contextcheck // it says goodbye after ctx has ended
	for {
		if _, err := conn.RoundTrip(ctx); err == nil {
			return conn.ConnectedURL(), nil
		}
		if pause(ctx, 100*time.Millisecond) != nil {
			return "", fmt.Errorf("bus: no server of nats.urls (%s) answers within %s: does a coordinator run there, and do the certificates in tls fit?",
				strings.Join(cfg.Bus.URLs, ", "), busPatience)
		}
	}
}

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
