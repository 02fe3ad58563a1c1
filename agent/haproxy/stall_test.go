package haproxy_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/serin-rollouts/serin/agent/haproxy"
	"github.com/serin-rollouts/serin/internal/porttest"
)

// serveVariable has this test's executable be a server: it holds its IP address.
const serveVariable = "SERIN_HAPROXY_TEST_SERVE"

func TestMain(m *testing.M) {
	if ip := os.Getenv(serveVariable); ip != "" {
		if err := serve(ip); err != nil {
			panic(err)
		}
		return
	}
	os.Exit(m.Run())
}

// backlog is how many connections wait for a process that stands still. The
// kernel drops what comes on top.
const backlog = 64

// How long HAProxy bears a stall: four times timeout connect if nothing connects,
// five checks otherwise. A machine that is at a standstill itself makes stalls
// longer than was meant; if they are longer than these they prove nothing.
const (
	longestSilence = 1500 * time.Millisecond
	longestStall   = 2500 * time.Millisecond
)

// Neither a container nor a HAProxy that stands still for a moment loses a
// request, also where there is no other one: it takes longer, and that is all.
func TestStallLosesNoRequest(t *testing.T) {
	t.Parallel()
	for name, x := range map[string]standstill{
		"container":                       {app: true},
		"container, its health is asked":  {app: true, path: "/healthz"},
		"container that does not connect": {app: true, full: true},
		"fresh container":                 {app: true, full: true, fresh: true},
		"reloaded":                        {app: true, full: true, reloaded: true},
		"existing HAProxy's fresh one":    {app: true, full: true, fresh: true, existing: true},
		"HAProxy":                         {haproxy: true},
		"existing HAProxy's container":    {app: true, full: true, existing: true},
		"both":                            {app: true, full: true, haproxy: true, path: "/healthz"},
	} {
		for _, length := range []time.Duration{300 * time.Millisecond, time.Second, 2 * time.Second} {
			if length > x.longest() {
				continue
			}
			t.Run(name+"/"+length.String(), func(t *testing.T) {
				t.Parallel()
				x.test(t, length)
			})
		}
	}
}

// standstill is what stands still.
type standstill struct {
	app     bool   // the container
	full    bool   // and so long that no connection to it is made any more
	path    string // by which HAProxy asks for its health
	haproxy bool

	existing bool // the HAProxy is somebody else's
	reloaded bool // HAProxy was, this moment
	fresh    bool // the container was attached this moment, and not checked yet
}

func (x standstill) longest() time.Duration {
	if x.full {
		return longestSilence
	}
	return longestStall
}

func (x standstill) test(t *testing.T, length time.Duration) {
	t.Helper()
	b, socket, listen := x.open(t)
	app := startProcess(t)
	must(t, b.Attach(t.Context(), "web", "a1", app.addr))
	must(t, b.SetWeights(t.Context(), "web", map[string]int{"a1": 100}))
	if !x.fresh {
		eventually(t, "the first check of the container", func() bool { return checked(t, socket, "a1") })
	}
	if x.reloaded {
		another := haproxy.Service{Name: "other", Listen: porttest.Address(t)}
		must(t, b.Ensure(t.Context(), []haproxy.Service{{Name: "web", Listen: listen, Sticky: true, HealthPath: x.path}, another}))
	}
	for tried := false; !tried; {
		l := startLoad(t, listen)
		l.more(t, 60)
		took := x.happen(t, length, app, observe(t, b).Pid)
		l.more(t, 100)
		l.stop()
		if tried = took <= x.longest(); tried {
			l.none(t)
		}
	}
}

// open returns a HAProxy with the service "web", its admin socket and where it listens.
func (x standstill) open(t *testing.T) (b balancer, socket, listen string) {
	t.Helper()
	needHAProxy(t)
	if x.existing {
		socket, listen = startExisting(t, 1)
		e, err := haproxy.OpenExisting(t.Context(), haproxy.Config{Socket: socket, Slots: 1, Timeout: patience})
		must(t, err)
		must(t, e.Ensure(t.Context(), []haproxy.Service{{Name: "web", Backend: "shop_be"}}))
		return e, socket, listen
	}
	dir, listen := shortDir(t), porttest.Address(t)
	m := openManaged(t, haproxy.Config{Dir: dir})
	must(t, m.Ensure(t.Context(), []haproxy.Service{{Name: "web", Listen: listen, Sticky: true, HealthPath: x.path}}))
	return m, filepath.Join(dir, "admin.sock"), listen
}

// happen returns how long it really took.
func (x standstill) happen(t *testing.T, length time.Duration, app process, haproxy int) time.Duration {
	t.Helper()
	began := time.Now()
	var stopped []int
	if x.app {
		stop(t, app.pid)
		stopped = append(stopped, app.pid)
	}
	if x.full {
		app.fill(t)
	}
	if x.haproxy {
		stop(t, haproxy)
		stopped = append(stopped, haproxy)
	}
	time.Sleep(time.Until(began.Add(length)))
	for _, pid := range stopped {
		must(t, syscall.Kill(pid, syscall.SIGCONT))
	}
	return time.Since(began)
}

// stop has a process stand still, and waits until all its threads do.
func stop(t *testing.T, pid int) {
	t.Helper()
	must(t, syscall.Kill(pid, syscall.SIGSTOP))
	eventually(t, "a process to stand still", func() bool {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
		must(t, err)
		for _, thread := range threads {
			data, err := os.ReadFile(thread)
			_, state, _ := strings.Cut(string(data), ") ")
			if err != nil || !strings.HasPrefix(state, "T") { // it may have ended
				return false
			}
		}
		return len(threads) > 0
	})
}

// checked tells whether HAProxy has checked a server and found it well. Before,
// the first check that fails takes it out.
func checked(t *testing.T, socket, server string) bool {
	t.Helper()
	conn, err := net.Dial("unix", socket)
	must(t, err)
	defer func() { _ = conn.Close() }() // all was read
	_, err = io.WriteString(conn, "show stat\n")
	must(t, err)
	data, err := io.ReadAll(conn)
	must(t, err)
	for line := range strings.Lines(string(data)) {
		if strings.Contains(line, ","+server+",") {
			return strings.Contains(line, ",L4OK,") || strings.Contains(line, ",L7OK,")
		}
	}
	return false
}

// A container that has gone is left at once: what it does not take, another does.
func TestDeadContainerIsLeft(t *testing.T) {
	t.Parallel()
	v := startLive(t, true)
	dead := startProcess(t)
	dead.kill()
	l := startLoad(t, v.service.Listen)
	// A check may find it dead before any request does.
	for slot(t, v, "a2").Redispatches == 0 {
		must(t, v.Detach(t.Context(), "web", "a2", false))
		must(t, v.Attach(t.Context(), "web", "a2", dead.addr))
		must(t, v.SetWeights(t.Context(), "web", map[string]int{"a2": 100}))
		eventually(t, "the dead container's slot to be down", func() bool { return !slot(t, v, "a2").Up })
	}
	l.more(t, 60)
	l.none(t)
}

// process is a server that can be stopped, since it is a process of its own.
type process struct {
	addr netip.AddrPort
	pid  int
	kill func()
}

func startProcess(t *testing.T) process {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), serveVariable+"=127.0.0.2")
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	p := process{pid: cmd.Process.Pid, kill: func() {
		cancel()
		_ = cmd.Wait() // it was killed
	}}
	t.Cleanup(p.kill)
	line, err := bufio.NewReader(out).ReadString('\n')
	must(t, err)
	p.addr, err = netip.ParseAddrPort(strings.TrimSpace(line))
	must(t, err)
	return p
}

// fill makes connections until the kernel takes no more of them.
func (p process) fill(t *testing.T) {
	t.Helper()
	for range 2 * backlog {
		conn, err := net.DialTimeout("tcp", p.addr.String(), 50*time.Millisecond)
		if err != nil {
			return
		}
		t.Cleanup(func() { _ = conn.Close() })
	}
	t.Error("a process that stands still accepts connections")
}

// serve answers as a container does, until it is killed.
func serve(ip string) error {
	l, err := listen(netip.MustParseAddr(ip))
	if err != nil {
		return err
	}
	c := &container{name: "process"}
	fmt.Println(l.Addr()) // its parent reads it
	server := &http.Server{Handler: c.handler(), ReadHeaderTimeout: time.Minute}
	return server.Serve(l)
}

// listen is net.Listen with our backlog.
func listen(ip netip.Addr) (net.Listener, error) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	file := os.NewFile(uintptr(fd), "listener")
	defer func() { _ = file.Close() }() // the listener has its own
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: ip.As4()}); err != nil {
		return nil, err
	}
	if err := syscall.Listen(fd, backlog); err != nil {
		return nil, err
	}
	return net.FileListener(file)
}
