package haproxytest

import (
	"fmt"
	"maps"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// config is what a worker holds in memory.
type config struct {
	description string
	ring        string // address of the log ring's server
	backends    []*backend
	maps        map[string][]mapEntry
}

type mapEntry struct{ key, value string }

type backend struct {
	name    string
	sticky  bool
	mapPath string
	servers []*server
	reqTot  int64
	err5xx  int64
	debt    int // of the split, basis points
	turn    int // of the canary's replicas
}

// Bits of the admin state, as "show servers state" has them.
const (
	forcedMaint = 0x01
	configMaint = 0x04
	forcedDrain = 0x08
)

type server struct {
	name     string
	ip       string
	port     int
	weight   int
	initial  int
	admin    int
	down     bool
	failures int // in a row
	sessions int
	current  int // of the smooth weighted round robin

	stot, err5xx, eresp, econ, wredis, wretr int64
}

func newBackend(name string) *backend { return &backend{name: name} }

func (b *backend) add(name, ip string, port, weight int, disabled bool) {
	s := &server{name: name, ip: ip, port: port, weight: weight, initial: weight}
	if disabled {
		s.admin = forcedMaint | configMaint
	}
	b.servers = append(b.servers, s)
}

func (s *server) addr() string { return s.ip + " " + strconv.Itoa(s.port) }

func (s *server) maint() bool { return s.admin&forcedMaint != 0 }

func (c *config) backend(name string) *backend {
	for _, b := range c.backends {
		if b.name == name {
			return b
		}
	}
	return nil
}

// server finds "backend/server".
func (c *config) server(target string) *server {
	proxy, name, _ := strings.Cut(target, "/")
	b := c.backend(proxy)
	if b == nil {
		return nil
	}
	for _, s := range b.servers {
		if s.name == name {
			return s
		}
	}
	return nil
}

func (c *config) clone() config {
	out := *c
	out.maps = maps.Clone(c.maps)
	for path, entries := range out.maps {
		out.maps[path] = slices.Clone(entries)
	}
	out.backends = nil
	for _, b := range c.backends {
		nb := *b
		nb.servers = nil
		for _, s := range b.servers {
			ns := *s
			nb.servers = append(nb.servers, &ns)
		}
		out.backends = append(out.backends, &nb)
	}
	return out
}

var mapName = regexp.MustCompile(`str\(([a-z0-9_-]+)\),map_str\(([^,]+),`)

// readConfig understands what the agent renders, no more.
func readConfig(path string) (config, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return config{}, err
	}
	r := reader{conf: config{maps: map[string][]mapEntry{}}, splits: map[string]string{}}
	for line := range strings.Lines(string(data)) {
		if err := r.line(line); err != nil {
			return config{}, fmt.Errorf("%s: %q: %w", path, line, err)
		}
	}
	return r.conf, nil
}

type reader struct {
	conf    config
	splits  map[string]string // service -> its map
	section string
	current *backend
}

func (r *reader) line(line string) error {
	f := strings.Fields(line)
	if len(f) == 0 || strings.HasPrefix(f[0], "#") {
		return nil
	}
	if !strings.HasPrefix(line, " ") {
		r.open(f)
		return nil
	}
	if m := mapName.FindStringSubmatch(line); m != nil {
		entries, err := readMap(m[2])
		r.splits[m[1]], r.conf.maps[m[2]] = m[2], entries
		return err
	}
	switch r.section + " " + f[0] {
	case "global description":
		r.conf.description = f[1]
	case "ring server":
		r.conf.ring = strings.TrimPrefix(f[2], "unix@")
	case "backend use-server":
		r.current.sticky = true
	case "backend server":
		return r.current.parse(f)
	}
	return nil
}

func (r *reader) open(f []string) {
	r.section = f[0]
	if r.section == "backend" {
		r.current = newBackend(f[1])
		r.current.mapPath = r.splits[f[1]]
		r.conf.backends = append(r.conf.backends, r.current)
	}
}

// parse reads "server a1 172.17.0.2:8080 weight 100 check [disabled]".
func (b *backend) parse(f []string) error {
	addr, err := netip.ParseAddrPort(f[2])
	if err != nil {
		return err
	}
	weight, err := strconv.Atoi(f[4])
	if err != nil {
		return err
	}
	b.add(f[1], addr.Addr().String(), int(addr.Port()), weight, f[len(f)-1] == "disabled")
	return nil
}

func readMap(path string) ([]mapEntry, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var out []mapEntry
	for line := range strings.Lines(string(data)) {
		if f := strings.Fields(line); len(f) == 2 {
			out = append(out, mapEntry{f[0], f[1]})
		}
	}
	return out, nil
}
