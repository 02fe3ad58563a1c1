package haproxy

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"text/template"
)

const (
	header      = "# Written by serin; changes made by hand are lost."
	markService = "# serin:service "
	markLog     = "# serin:log "

	logUnix = "unix"
)

//go:embed haproxy.cfg.tmpl
var cfgText string

// rendered is what the template reads.
type rendered struct {
	Header, Fingerprint, Dir, LogAddr, LogServer string

	MaxConn   int
	PathLimit int
	Services  []renderedService
}

type renderedService struct {
	Service

	Mark, Bind string
	TimeoutMS  int64
	Servers    []string
}

// render writes haproxy.cfg for the view. The fingerprint stands in it as
// HAProxy's description, so that a running HAProxy tells which file it has read;
// it covers everything but the servers' addresses and weights, which
// change at run time.
func (m *Managed) render(v *view) (text []byte, fingerprint string, err error) {
	bare := &view{services: make(map[string]entry, len(v.services))}
	for name, e := range v.services {
		e.slots = nil
		bare.services[name] = e
	}
	skeleton, err := m.fill(bare, "-")
	if err != nil {
		return nil, "", err
	}
	sum := sha256.Sum256(skeleton)
	fingerprint = "serin-" + hex.EncodeToString(sum[:8])
	text, err = m.fill(v, fingerprint)
	return text, fingerprint, err
}

func (m *Managed) fill(v *view, fingerprint string) ([]byte, error) {
	tmpl, err := template.New("haproxy.cfg").Parse(cfgText)
	if err != nil {
		return nil, fmt.Errorf("parse template: %w", err)
	}
	data := rendered{
		Header: header, Fingerprint: fingerprint, Dir: m.cfg.Dir,
		LogAddr: m.logAddr, LogServer: m.logAddr, MaxConn: m.maxConn, PathLimit: MaxPath,
	}
	if m.logAddr == logUnix {
		data.LogServer = "unix@" + m.path("log.sock")
	}
	for _, name := range slices.Sorted(maps.Keys(v.services)) {
		s, err := m.renderService(v.services[name])
		if err != nil {
			return nil, err
		}
		data.Services = append(data.Services, s)
	}
	var out bytes.Buffer
	if err := tmpl.Execute(&out, data); err != nil {
		return nil, fmt.Errorf("fill template: %w", err)
	}
	return out.Bytes(), nil
}

func (m *Managed) renderService(e entry) (renderedService, error) {
	mark, err := json.Marshal(e.Service)
	if err != nil {
		return renderedService{}, err
	}
	bind, err := bindAddress(e.Listen)
	if err != nil {
		return renderedService{}, err
	}
	s := renderedService{Service: e.Service, Mark: markService + string(mark), Bind: bind, TimeoutMS: e.Timeout.Milliseconds()}
	for _, name := range slotNames(m.cfg.Slots) {
		s.Servers = append(s.Servers, serverLine(name, e.slots[name]))
	}
	return s, nil
}

// serverLine is what a reload makes of a slot. Draining has no line of its own;
// weight 0 does the same.
func serverLine(name string, s server) string {
	if !s.attached() {
		return fmt.Sprintf("server %s %s weight 0 check disabled", name, placeholder)
	}
	weight := s.weight
	if s.state == Drain {
		weight = 0
	}
	return fmt.Sprintf("server %s %s weight %d check", name, s.addr, weight)
}

// parseFile reads back what render wrote: after a restart of the agent while
// HAProxy is down, the two files are all there is.
func parseFile(text string) (v *view, logAddr string, err error) {
	if !strings.HasPrefix(text, header) {
		return nil, "", fmt.Errorf("%w: it was not written by serin", ErrForeignFile)
	}
	v = &view{services: map[string]entry{}}
	backend := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		switch f := strings.Fields(line); {
		case strings.HasPrefix(line, markService):
			var s Service
			if err := json.Unmarshal([]byte(line[len(markService):]), &s); err != nil {
				return nil, "", fmt.Errorf("%w: %q: %w", ErrForeignFile, line, err)
			}
			v.services[s.Name] = entry{Service: s, backend: s.Name, slots: map[string]server{}}
		case strings.HasPrefix(line, markLog):
			logAddr = line[len(markLog):]
		case len(f) == 2 && f[0] == "backend":
			backend = f[1]
		case len(f) >= 6 && f[0] == "server" && backend != "":
			if err := parseServerLine(v, backend, f); err != nil {
				return nil, "", fmt.Errorf("%w: %q: %w", ErrForeignFile, line, err)
			}
		}
	}
	return v, logAddr, nil
}

func parseServerLine(v *view, backend string, f []string) error {
	e, ok := v.services[backend]
	if !ok {
		return fmt.Errorf("backend %s has no service", backend)
	}
	addr, err := netip.ParseAddrPort(f[2])
	if err != nil {
		return err
	}
	weight, err := strconv.Atoi(f[4])
	if err != nil {
		return err
	}
	s := server{addr: addr, weight: weight, state: Ready}
	if f[len(f)-1] == "disabled" {
		s.state = Maint
	}
	e.slots[f[1]] = s
	return nil
}

// maxConnections derives HAProxy's maxconn from the limit of open files: two per
// connection, and a reserve for listeners, checks and idle ones. HAProxy does
// not start with a maxconn that the limit cannot bear.
func maxConnections() int {
	const reserve, most, least = 1000, 50000, 100
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return least
	}
	files := int(min(limit.Max, 2*most+reserve))
	return max((files-reserve)/2, least)
}
