package dockertest

import "net/netip"

// addresses are those of one network. Like Docker's, the lowest free one is
// given first, so that an address is used again at once.
type addresses struct {
	subnet netip.Prefix
	used   map[netip.Addr]bool
}

func newAddresses(subnet netip.Prefix) *addresses {
	return &addresses{subnet: subnet.Masked(), used: map[netip.Addr]bool{}}
}

// gateway is the host's own address in the network.
func (a *addresses) gateway() netip.Addr { return a.subnet.Addr().Next() }

// take gives an address, which is not valid if there is none left.
func (a *addresses) take() netip.Addr {
	for ip := a.gateway().Next(); a.subnet.Contains(ip); ip = ip.Next() {
		if !a.used[ip] {
			a.used[ip] = true
			return ip
		}
	}
	return netip.Addr{}
}

func (a *addresses) release(ip netip.Addr) { delete(a.used, ip) }
