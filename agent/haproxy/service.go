package haproxy

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"time"
)

// Errors that callers tell apart. Those with fields are types of their own.
var (
	// ErrUnknownService names a service that Ensure has not seen.
	ErrUnknownService = errors.New("unknown service")
	// ErrUnknownSlot names a slot that the service does not have.
	ErrUnknownSlot = errors.New("unknown slot")
	// ErrSlotBusy means that the slot serves another address; detach it first.
	ErrSlotBusy = errors.New("slot serves another address")
	// ErrNothingAttached means that the bank to get traffic has no server.
	ErrNothingAttached = errors.New("no server attached in the bank")
	// ErrUnavailable means that HAProxy's socket did not answer properly.
	ErrUnavailable = errors.New("HAProxy does not answer")
	// ErrVersion means that HAProxy is older than 2.6.
	ErrVersion = errors.New("HAProxy 2.6 or newer is needed")
	// ErrNotConverged means that HAProxy took the commands, but does not show them.
	ErrNotConverged = errors.New("read back something else")
	// ErrInvalidConfig means that HAProxy refused the rendered file.
	ErrInvalidConfig = errors.New("HAProxy refuses the configuration")
)

// PortError says that the listen address of a service is taken.
type PortError struct {
	Service, Address string
	Err              error
}

// Error names the address and the service.
func (e *PortError) Error() string {
	return fmt.Sprintf("listen address %s of service %s is in use: %v", e.Address, e.Service, e.Err)
}

// Unwrap returns the cause.
func (e *PortError) Unwrap() error { return e.Err }

// StepError says that server weights cannot give a share as small as asked.
type StepError struct {
	Service    string
	Share, Min int // basis points
}

// Error names the smallest share.
func (e *StepError) Error() string {
	return fmt.Sprintf("share of %d basis points for %s: server weights give no less than %d", e.Share, e.Service, e.Min)
}

// Service is one backend.
type Service struct {
	// Name is the service's name, [a-z0-9_-]. In managed mode it is the
	// backend's name too.
	Name string `json:"name"`
	// Listen is where its clients connect to: ":8443", "127.0.0.1:80". Managed.
	Listen string `json:"listen,omitempty"`
	// Backend is the backend's name in an existing HAProxy, Name if empty.
	Backend string `json:"backend,omitempty"`
	// Sticky splits by user (a cookie) and a map, in steps of 0.01 %; otherwise
	// the split is made by server weights. Managed only.
	Sticky bool `json:"sticky,omitempty"`
	// HealthPath is what HAProxy's own check asks for; "" checks only whether
	// the port accepts. Managed.
	HealthPath string `json:"health_path,omitempty"`
	// Timeout is the longest silence of the server within an answer; 0 means
	// 60 s. Managed.
	Timeout time.Duration `json:"timeout,omitempty"`
	// StrictPost closes each connection to the server after one request. It
	// costs CPU (+76 us per request measured) and saves the POST that
	// meets a keepalive connection which the server closes in that instant.
	StrictPost bool `json:"strict_post,omitempty"`
}

var (
	serviceName = regexp.MustCompile(`^[a-z0-9_-]{1,63}$`)
	backendName = regexp.MustCompile(`^[A-Za-z0-9_.:-]{1,127}$`)
	urlPath     = regexp.MustCompile(`^/[A-Za-z0-9/_.?=&%~+-]{0,255}$`)
	saltText    = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)
)

// validate checks what both modes need.
func (s *Service) validate() error {
	if !serviceName.MatchString(s.Name) {
		return fmt.Errorf("service name %q: not [a-z0-9_-]", s.Name)
	}
	if s.HealthPath != "" && !urlPath.MatchString(s.HealthPath) {
		return fmt.Errorf("service %s: health path %q is not a plain URL path", s.Name, s.HealthPath)
	}
	if s.Backend != "" && !backendName.MatchString(s.Backend) {
		return fmt.Errorf("service %s: backend name %q is not one of HAProxy", s.Name, s.Backend)
	}
	if s.Timeout < 0 {
		return fmt.Errorf("service %s: timeout %s is negative", s.Name, s.Timeout)
	}
	return nil
}

// validateManaged checks a whole set and returns it sorted by name.
func validateManaged(services []Service) ([]Service, error) {
	sorted := slices.SortedFunc(slices.Values(services), byName)
	seen := map[string]string{} // bind address -> service
	for i := range sorted {
		s := &sorted[i]
		if err := s.validate(); err != nil {
			return nil, err
		}
		if i > 0 && sorted[i-1].Name == s.Name {
			return nil, fmt.Errorf("service %s: named twice", s.Name)
		}
		if s.Backend != "" && s.Backend != s.Name {
			return nil, fmt.Errorf("service %s: backend %q is for an existing HAProxy only", s.Name, s.Backend)
		}
		bind, err := bindAddress(s.Listen)
		if err != nil {
			return nil, fmt.Errorf("service %s: %w", s.Name, err)
		}
		if other, taken := seen[bind]; taken {
			return nil, &PortError{Service: s.Name, Address: s.Listen, Err: fmt.Errorf("service %s listens there", other)}
		}
		seen[bind] = s.Name
	}
	return sorted, nil
}

func byName(a, b Service) int {
	if a.Name < b.Name {
		return -1
	}
	if a.Name > b.Name {
		return 1
	}
	return 0
}

// bindAddress turns ":8443" into HAProxy's "*:8443" and checks the rest.
func bindAddress(listen string) (string, error) {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return "", fmt.Errorf("listen address %q: %w", listen, err)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", fmt.Errorf("listen address %q: port is not in 1..65535", listen)
	}
	if host == "" || host == "*" {
		return "*:" + port, nil
	}
	addr, err := netip.ParseAddr(host)
	if err != nil || addr.Zone() != "" {
		return "", fmt.Errorf("listen address %q: host is not an IP address", listen)
	}
	return net.JoinHostPort(addr.String(), port), nil
}
