package haproxytest

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// session is one connection to the admin socket.
type session struct {
	numbers bool // severity-output number
	prompt  bool
}

// serve answers one line and closes, or one line after the other after "prompt".
func (h *HAProxy) serve(conn net.Conn, toMaster bool, f *fault) {
	defer func() { _ = conn.Close() }() // the client has read what it wants
	if f != nil && *f == faultRefuse {
		return
	}
	r := bufio.NewReader(conn)
	var s session
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		if f != nil && *f == faultHang {
			_, _ = r.ReadByte() // until the client closes
			return
		}
		out := h.answer(strings.TrimSpace(line), toMaster, &s)
		if f != nil && *f == faultCut {
			out = out[:len(out)/2]
			out = strings.TrimRight(out, "\n")
		}
		if _, err := io.WriteString(conn, out); err != nil || !s.prompt {
			return
		}
	}
}

func (h *HAProxy) answer(line string, toMaster bool, s *session) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var out strings.Builder
	for command := range strings.SplitSeq(line, ";") {
		command = strings.TrimSpace(command)
		if toMaster {
			out.WriteString(h.masterCommand(command))
			continue
		}
		out.WriteString(h.command(command, s))
		out.WriteString("\n")
		if s.prompt {
			out.WriteString("> ")
		}
	}
	return out.String()
}

func (h *HAProxy) masterCommand(command string) string {
	switch command {
	case "reload":
		h.reload()
	case "show proc":
		var b strings.Builder
		b.WriteString("#<PID>          <type>          <reloads>       <uptime>        <version>      \n")
		fmt.Fprintf(&b, "%-15d master          %d [failed: %d]   0d00h00m00s     %s\n", h.master, h.reloads, h.failed, h.version)
		fmt.Fprintf(&b, "# workers\n%-15d worker          0               0d00h00m00s     %s\n", h.worker, h.version)
		if len(h.old) > 0 {
			b.WriteString("# old workers\n")
			for _, pid := range h.old {
				fmt.Fprintf(&b, "%-15d worker          1               0d00h00m00s     %s\n", pid, h.version)
			}
		}
		return b.String() + "# programs\n\n"
	}
	return ""
}

// command returns the answer's lines, each with its newline.
func (h *HAProxy) command(command string, s *session) string {
	f := strings.Fields(command)
	switch {
	case command == "set severity-output number":
		s.numbers = true
		return ""
	case command == "prompt":
		s.prompt = !s.prompt
		return ""
	case command == "show info":
		return h.showInfo()
	case len(f) >= 2 && f[0] == "show" && f[1] == "stat":
		return h.showStat(f[2:])
	case command == "show servers state":
		return h.showServers()
	case len(f) == 3 && f[0] == "show" && f[1] == "map":
		return h.showMap(f[2], s)
	}
	h.commands = append(h.commands, command)
	h.commands = h.commands[max(0, len(h.commands)-1000):]
	switch {
	case len(f) >= 4 && f[1] == "map":
		return h.changeMap(f, s)
	case len(f) >= 5 && f[0] == "set" && f[1] == "server":
		return h.setServer(f[2], f[3:], s)
	case len(f) == 4 && f[0] == "shutdown" && f[1] == "sessions":
		return h.shutdownSessions(f[3], s)
	}
	return "Unknown command, but maybe one of the following ones is a better match:\n  prompt\n"
}

func (s *session) say(severity int, text string) string {
	if s.numbers {
		return fmt.Sprintf("[%d]: %s\n", severity, text)
	}
	return text + "\n"
}

func (h *HAProxy) showInfo() string {
	up := time.Since(h.started) / time.Second
	return fmt.Sprintf("Name: HAProxy\nVersion: %s\nPid: %d\nUptime_sec: %d\ndescription: %s\nStopping: 0\nStart_time_sec: %d\n",
		h.version, h.worker, up, h.conf.description, h.started.Unix())
}

func (h *HAProxy) showServers() string {
	var b strings.Builder
	b.WriteString("1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight srv_time_since_last_change srv_check_status srv_check_result srv_check_health srv_check_state srv_agent_state bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord srv_use_ssl srv_check_port srv_check_addr srv_agent_addr srv_agent_port\n")
	for i, be := range h.conf.backends {
		for j, s := range be.servers {
			op := 2
			if s.maint() || s.down {
				op = 0
			}
			columns(&b, " ", num(3+2*i), be.name, num(j+1), s.name, s.ip, num(op), num(s.admin), num(s.weight), num(s.initial),
				"0 6 3 4 6 0 0 0 -", num(s.port), "- 0 0 - - 0\n")
		}
	}
	return b.String()
}

// showStat takes HAProxy's filter "<backend> <type mask> <sid>" by its name only.
func (h *HAProxy) showStat(filter []string) string {
	var b strings.Builder
	b.WriteString("# pxname,svname,qcur,scur,stot,econ,eresp,wretr,wredis,status,weight,type,hrsp_5xx,req_tot,mode,algo,\n")
	for _, be := range h.conf.backends {
		if len(filter) > 0 && filter[0] != be.name && filter[0] != "-1" {
			continue
		}
		for _, s := range be.servers {
			columns(&b, ",", be.name, s.name, "0", num(s.sessions), num(s.stot), num(s.econ), num(s.eresp), num(s.wretr), num(s.wredis),
				s.status(), num(s.weight), "2", num(s.err5xx), num(s.stot-s.wredis-s.eresp), "http,,\n")
		}
		fmt.Fprintf(&b, "%s,BACKEND,0,0,%d,0,0,0,0,UP,0,1,%d,%d,http,roundrobin,\n", be.name, be.reqTot, be.err5xx, be.reqTot)
	}
	return b.String()
}

// columns writes a line; it is what a fake is asked for most.
func columns(b *strings.Builder, between string, fields ...string) {
	for i, f := range fields {
		if i > 0 {
			b.WriteString(between)
		}
		b.WriteString(f)
	}
}

func num[N int | int64](n N) string { return strconv.FormatInt(int64(n), 10) }

func (s *server) status() string {
	switch {
	case s.maint():
		return "MAINT"
	case s.down:
		return "DOWN"
	case s.admin&forcedDrain != 0 || s.weight == 0:
		return "DRAIN"
	default:
		return "UP"
	}
}

func (h *HAProxy) showMap(path string, s *session) string {
	entries, ok := h.conf.maps[path]
	if !ok {
		return s.say(3, "Unknown map identifier. Please use #<id> or <file>.")
	}
	var b strings.Builder
	for i, e := range entries {
		fmt.Fprintf(&b, "0x%x %s %s\n", 0x1000+i, e.key, e.value)
	}
	return b.String()
}

func (h *HAProxy) changeMap(f []string, s *session) string {
	path, key := f[2], f[3]
	entries, ok := h.conf.maps[path]
	if !ok {
		return s.say(3, "Unknown map identifier. Please use #<id> or <file>.")
	}
	switch {
	case f[0] == "add" && len(f) == 5:
		h.conf.maps[path] = append(entries, mapEntry{key, f[4]})
		return ""
	case f[0] == "del" && len(f) == 4:
		h.conf.maps[path] = slices.DeleteFunc(entries, func(e mapEntry) bool { return e.key == key })
		return ""
	case f[0] == "set" && len(f) == 5:
		found := false
		for i := range entries {
			if entries[i].key == key {
				entries[i].value, found = f[4], true
			}
		}
		if !found {
			return s.say(3, "entry not found.")
		}
		return ""
	}
	return s.say(3, "'"+f[0]+" map' expects three parameters: map identifier, key and value.")
}

func (h *HAProxy) setServer(target string, f []string, s *session) string {
	srv := h.conf.server(target)
	if srv == nil {
		return s.say(3, "No such server.")
	}
	switch {
	case f[0] == "weight":
		w, err := strconv.Atoi(f[1])
		if err != nil || w < 0 || w > 256 {
			return s.say(3, "Absolute weight can only be between 0 and 256 inclusive.")
		}
		srv.weight = w
	case f[0] == "state":
		return srv.setState(f[1], s)
	case f[0] == "health":
		srv.down = f[1] == "down"
	case f[0] == "addr" && len(f) == 4 && f[2] == "port":
		return h.setAddr(srv, f[1], f[3], s)
	default:
		return s.say(3, "usage: set server <backend>/<server> addr | agent | check-addr | fqdn | health | state | weight | ssl")
	}
	return ""
}

func (s *server) setState(state string, ses *session) string {
	switch state {
	case "ready":
		s.admin &^= forcedMaint | forcedDrain
	case "drain":
		s.admin = s.admin&^forcedMaint | forcedDrain
	case "maint":
		s.admin |= forcedMaint
	default:
		return ses.say(3, "'set server <srv> state' expects 'ready', 'drain' and 'maint'.")
	}
	return ""
}

func (h *HAProxy) setAddr(srv *server, ip, port string, s *session) string {
	addr, err1 := netip.ParseAddr(ip)
	n, err2 := strconv.ParseUint(port, 10, 16)
	if err1 != nil || err2 != nil {
		return s.say(3, "invalid addr or port")
	}
	if srv.ip == addr.String() && srv.port == int(n) {
		return s.say(4, "no need to change the addr, port by 'stats socket command'")
	}
	was := srv.ip
	srv.ip, srv.port = addr.String(), int(n)
	srv.failures = 0
	srv.down = false
	h.markRefused()
	return s.say(4, fmt.Sprintf("IP changed from '%s' to '%s', port changed by 'stats socket command'", was, srv.ip))
}

func (h *HAProxy) shutdownSessions(target string, s *session) string {
	srv := h.conf.server(target)
	if srv == nil {
		return s.say(3, "No such server.")
	}
	srv.sessions = 0
	return ""
}
