package main

import (
	"os"
	"time"

	"github.com/rs/zerolog"

	"github.com/serin-rollouts/serin/coordinator"
	"github.com/serin-rollouts/serin/coordinator/console"
	"github.com/serin-rollouts/serin/internal/daemon"
	"github.com/serin-rollouts/serin/internal/trace"
	build "github.com/serin-rollouts/serin/internal/version"
)

// settings is the configuration file.
type settings struct {
	ID      string        `yaml:"id" doc:"name of this replica; it never changes"`
	Data    string        `yaml:"data" doc:"directory for the replicated state and the embedded NATS server"`
	Cluster string        `yaml:"cluster" doc:"name of the group in the source of its events"`
	NATS    natsSettings  `yaml:"nats"`
	Raft    raftSettings  `yaml:"raft"`
	TLS     daemon.TLS    `yaml:"tls"`
	HTTP    daemon.HTTP   `yaml:"http"`
	Console consoleConfig `yaml:"console"`
	Hooks   string        `yaml:"hooks" doc:"file with the rules by which pushes to registries become triggers; none if empty"`
	Lease   time.Duration `yaml:"lease" doc:"how long an agent keeps a canary serving without hearing a leader"`
	Record  string        `yaml:"record" doc:"directory for records of what rollouts were judged by, for serin analyze; none if empty"`
	Log     daemon.Log    `yaml:"log"`
}

type consoleConfig struct {
	Operate bool     `yaml:"operate" doc:"without tokens, on a loopback address: whoever reaches the web console may give commands"`
	Tokens  string   `yaml:"tokens" doc:"file with name, role (viewer, operator) and SHA-256 of each person's token; needed where http.listen is not a loopback address"`
	Peers   []string `yaml:"peers" doc:"the replicas' consoles as browsers reach them (http://10.0.0.2:7310): where a page goes on when this replica is away"`
}

type natsSettings struct {
	Embed    bool     `yaml:"embed" doc:"run a NATS server in this process; without urls it runs in any case"`
	Listen   string   `yaml:"listen" doc:"embedded server: address for agents and operators"`
	Cluster  string   `yaml:"cluster" doc:"embedded server: address for the other replicas' servers"`
	Routes   []string `yaml:"routes" doc:"embedded server: the other replicas' cluster addresses"`
	URLs     []string `yaml:"urls" doc:"NATS servers of your own; then embed is false"`
	Creds    string   `yaml:"creds" doc:"credentials file for servers of your own"`
	Replicas int      `yaml:"replicas" doc:"copies of each stream; 0: 3 with routes, else 1"`
}

type raftSettings struct {
	Listen    string        `yaml:"listen" doc:"address for the other replicas"`
	Advertise string        `yaml:"advertise" doc:"address that the other replicas dial, if not listen"`
	Peers     []string      `yaml:"peers" doc:"all first members as id=host:port, this one too"`
	Join      bool          `yaml:"join" doc:"begin empty and wait to be added by serin cluster add"`
	Heartbeat time.Duration `yaml:"heartbeat" doc:"how long a follower waits for its leader; 0: 250ms"`
	Election  time.Duration `yaml:"election" doc:"how long a candidate waits for votes; 0: 250ms"`
	Lease     time.Duration `yaml:"lease" doc:"how long a leader leads without hearing a majority; 0: 125ms"`
}

// Private

func defaults() settings {
	host, err := os.Hostname()
	if err != nil {
		host = "" // it has to be named then
	}
	return settings{
		ID:    host,
		Data:  "/var/lib/serin-coordinator",
		NATS:  natsSettings{Listen: "0.0.0.0:4222"},
		Raft:  raftSettings{Listen: "127.0.0.1:7311"},
		HTTP:  daemon.HTTP{Listen: "127.0.0.1:7310"},
		Lease: coordinator.DefaultLease,
		Log:   daemon.Log{Level: "info"},
	}
}

func (s settings) config(log zerolog.Logger) coordinator.Config {
	cfg := coordinator.Config{
		ID: s.ID, Data: s.Data, Cluster: s.Cluster, Lease: s.Lease, Record: s.Record, Version: build.Semantic(version), Log: log,
		TLS: s.TLS.Files(), HTTP: s.HTTP.Address(), Hooks: s.Hooks, Trace: trace.Config{Env: os.Getenv},
		Console: console.Config{Operate: s.Console.Operate, Tokens: s.Console.Tokens, Peers: s.Console.Peers},
		NATS: coordinator.NATS{
			Embed: s.NATS.Embed || len(s.NATS.URLs) == 0, Listen: s.NATS.Listen, Cluster: s.NATS.Cluster,
			Routes: s.NATS.Routes, URLs: s.NATS.URLs, Creds: s.NATS.Creds, Replicas: s.NATS.Replicas,
		},
		Raft: coordinator.Raft{
			Listen: s.Raft.Listen, Advertise: s.Raft.Advertise, Peers: s.Raft.Peers, Join: s.Raft.Join,
			Heartbeat: s.Raft.Heartbeat, Election: s.Raft.Election, Lease: s.Raft.Lease,
		},
	}
	if !cfg.NATS.Embed {
		cfg.NATS.Listen = "" // the default is for an embedded server
	}
	if len(cfg.Raft.Peers) == 0 && !cfg.Raft.Join {
		cfg.Raft.Peers = []string{s.ID + "=" + advertised(s.Raft)} // a group of one
	}
	return cfg
}

func advertised(r raftSettings) string {
	if r.Advertise != "" {
		return r.Advertise
	}
	return r.Listen
}
