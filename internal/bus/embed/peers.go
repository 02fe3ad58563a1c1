package embed

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

const (
	systemUser    = "serin-system"
	systemTimeout = 3 * time.Second        // of one request to JetStream's leader
	systemPause   = 200 * time.Millisecond // between two
)

// ErrNoPeer means that a cluster's JetStream has no peer of that name.
var ErrNoPeer = errors.New("embedded nats: jetstream has no such peer")

// Peers returns how many servers JetStream counts on, running or not: 1 for a
// server alone, 0 if it is not known.
func (s *Server) Peers() int {
	if s.Alone() {
		return 1
	}
	info, err := s.nats.Jsz(&server.JSzOptions{})
	if err != nil || info.Meta == nil {
		return 0
	}
	return info.Meta.Size
}

// RemovePeer takes a server out of the cluster's JetStream, by its Name: it
// counts for no majority any more, and what it kept goes to the others. If it
// runs, it goes on as a server without JetStream. RemovePeer tries until ctx
// ends, since a cluster has no leader now and then; ErrNoPeer is no reason to.
func (s *Server) RemovePeer(ctx context.Context, name string) error {
	if s.Alone() {
		return ErrNoPeer
	}
	nc, err := nats.Connect("", nats.InProcessServer(s), nats.UserInfo(systemUser, s.system.secret), nats.Name("system"))
	if err != nil {
		return fmt.Errorf("connect to embedded nats as its operator: %w", err)
	}
	defer nc.Close()
	for {
		err := s.tryRemovePeer(ctx, nc, name)
		if err == nil || errors.Is(err, ErrNoPeer) {
			return err
		}
		timer := time.NewTimer(systemPause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("remove jetstream peer %s: %w", name, errors.Join(err, ctx.Err()))
		case <-timer.C:
		}
	}
}

// Private

func (s *Server) tryRemovePeer(ctx context.Context, nc *nats.Conn, name string) error {
	if info, err := s.nats.Jsz(&server.JSzOptions{}); err == nil && info.Meta != nil && info.Meta.Leader == name {
		// A leader that removes itself leaves its last work undone.
		if err := ask(ctx, nc, server.JSApiLeaderStepDown, nil); err != nil {
			return err
		}
		return fmt.Errorf("%s leads", name)
	}
	// By its id: a cluster that was restarted does not know the name of a
	// server that has not come back.
	return ask(ctx, nc, server.JSApiRemoveServer, server.JSApiMetaServerRemoveRequest{Server: name, Peer: peerID(name)})
}

// ask sends a request to JetStream's leader.
func ask(ctx context.Context, nc *nats.Conn, subject string, request any) error {
	ctx, stop := context.WithTimeout(ctx, systemTimeout)
	defer stop()
	var data []byte
	if request != nil {
		var err error
		if data, err = json.Marshal(request); err != nil {
			return err
		}
	}
	m, err := nc.RequestWithContext(ctx, subject, data)
	if err != nil {
		return fmt.Errorf("ask on %s: %w", subject, err)
	}
	var answer server.ApiResponse
	if err := json.Unmarshal(m.Data, &answer); err != nil {
		return fmt.Errorf("answer on %s: %w", subject, err)
	}
	switch {
	case answer.Error == nil:
		return nil
	case answer.Error.ErrCode == uint16(server.JSClusterServerNotMemberErr):
		return ErrNoPeer
	default:
		return fmt.Errorf("answer on %s: %w", subject, answer.Error)
	}
}

// peerID is what JetStream calls a server: eight digits of base 62 out of the
// SHA-256 of its name. A test holds it against the server's own.
func peerID(name string) string {
	const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	sum := sha256.Sum256([]byte(name))
	id := sum[:8]
	for i, b := range id {
		id[i] = digits[int(b)%len(digits)]
	}
	return string(id)
}

// system lets this process alone into the system account, by a secret that
// never leaves it. All others are let in as without it.
type system struct {
	secret string
	nats   *server.Server
}

func newSystem() *system { return &system{secret: rand.Text()} }

// Check implements server.Authentication.
func (s *system) Check(c server.ClientAuthentication) bool {
	opts := c.GetOpts()
	if opts.Username != systemUser {
		return true
	}
	if subtle.ConstantTimeCompare([]byte(opts.Password), []byte(s.secret)) != 1 {
		return false
	}
	c.RegisterUser(&server.User{Username: systemUser, Account: s.nats.SystemAccount()})
	return true
}
