package main

import (
	"os"
	"path/filepath"

	"github.com/rs/zerolog"

	"github.com/serin-rollouts/serin/agent"
	"github.com/serin-rollouts/serin/agent/docker"
	"github.com/serin-rollouts/serin/agent/haproxy"
	"github.com/serin-rollouts/serin/internal/bus"
	"github.com/serin-rollouts/serin/internal/daemon"
	"github.com/serin-rollouts/serin/internal/trace"
	build "github.com/serin-rollouts/serin/internal/version"
)

// logOff is the word for no log of requests.
const logOff = "off"

// settings is the configuration file.
type settings struct {
	Host     string            `yaml:"host" doc:"name of this host, unique in the fleet; it never changes"`
	Labels   map[string]string `yaml:"labels" doc:"what rollouts select hosts by"`
	Data     string            `yaml:"data" doc:"directory for the accepted assignments, and for HAProxy's files"`
	NATS     natsSettings      `yaml:"nats"`
	TLS      daemon.TLS        `yaml:"tls"`
	Docker   string            `yaml:"docker" doc:"address of the Docker Engine"`
	Registry string            `yaml:"registry_config" doc:"file like Docker's config.json, with credentials for registries"`
	HAProxy  haproxySettings   `yaml:"haproxy"`
	HTTP     daemon.HTTP       `yaml:"http"`
	Log      daemon.Log        `yaml:"log"`
}

type natsSettings struct {
	URLs  []string `yaml:"urls" doc:"NATS servers: the coordinator's, or your own"`
	Creds string   `yaml:"creds" doc:"credentials file for servers of your own"`
}

type haproxySettings struct {
	Mode   string `yaml:"mode" doc:"managed: the agent runs HAProxy; existing: it steers yours"`
	Dir    string `yaml:"dir" doc:"directory for HAProxy's files; default: haproxy in data"`
	Binary string `yaml:"binary" doc:"HAProxy's executable, for managed"`
	Bind   string `yaml:"bind" doc:"address for services that listen on a port alone; default: all"`
	Socket string `yaml:"socket" doc:"admin socket of your HAProxy, for existing"`
	File   string `yaml:"file" doc:"configuration of your HAProxy, for existing: what it lacks for canaries is logged"`
	Log    string `yaml:"log" doc:"where the managed HAProxy logs requests to, for latencies: unix (a socket in dir), host:port, or off"`
}

// Private

func defaults() settings {
	host, err := os.Hostname()
	if err != nil {
		host = "" // it has to be named then
	}
	return settings{
		Host:    host,
		Data:    "/var/lib/serin-agent",
		NATS:    natsSettings{URLs: []string{"nats://127.0.0.1:4222"}},
		Docker:  docker.DefaultHost,
		HAProxy: haproxySettings{Mode: string(agent.Managed), Binary: "haproxy", Log: "unix"},
		HTTP:    daemon.HTTP{Listen: "127.0.0.1:9311"},
		Log:     daemon.Log{Level: "info"},
	}
}

func (s settings) config(log zerolog.Logger) agent.Config {
	dir := s.HAProxy.Dir
	if dir == "" {
		dir = filepath.Join(s.Data, "haproxy")
	}
	logAddr := s.HAProxy.Log
	if logAddr == logOff || s.HAProxy.Mode == string(agent.Existing) {
		logAddr = ""
	}
	return agent.Config{
		Host: s.Host, Labels: s.Labels, Version: build.Semantic(version), DataDir: s.Data, Log: log,
		Bus: bus.Config{
			URLs: s.NATS.URLs, Creds: s.NATS.Creds, Log: log.With().Str("component", "bus").Logger(),
			TLS: s.TLS.Files(),
		},
		HTTP:   s.HTTP.Address(),
		Trace:  trace.Config{Env: os.Getenv},
		Docker: docker.Config{Host: s.Docker, RegistryConfig: s.Registry, Log: log.With().Str("component", "docker").Logger()},
		Mode:   agent.Mode(s.HAProxy.Mode),
		Bind:   s.HAProxy.Bind,
		HAProxy: haproxy.Config{
			Dir: dir, Binary: s.HAProxy.Binary, Socket: s.HAProxy.Socket, File: s.HAProxy.File, LogAddr: logAddr,
			Log: log.With().Str("component", "haproxy").Logger(),
		},
	}
}
