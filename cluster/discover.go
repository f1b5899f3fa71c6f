// discover.go turns seeds into addresses.

package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"
)

// lookupTime bounds the lookups of all seeds together.
const lookupTime = 5 * time.Second

// A seed says where other nodes may be.
type seed struct {
	hostPort
	srv bool // host is the name of SRV records, which have the ports
}

// parseSeed reads "host:port", "dns+host:port" or "dnssrv+name".
func parseSeed(text string) (seed, error) {
	bad := func(why string) (seed, error) {
		return seed{}, fmt.Errorf("cluster: seed %q: %s: want host:port, dns+host:port or dnssrv+name", text, why)
	}
	kind, rest, ok := strings.Cut(text, "+")
	if !ok {
		kind, rest = "dns", text
	}
	switch kind {
	case "dnssrv":
		if rest == "" || strings.Contains(rest, ":") || !validText(rest, maxHost) {
			return bad("bad name")
		}
		return seed{hostPort{host: rest}, true}, nil
	case "dns":
		at, err := splitHostPort(rest)
		if err != nil {
			return bad(err.Error())
		}
		if at.host == "" || at.port == 0 || !validText(at.host, maxHost) {
			return bad("bad host or port 0")
		}
		return seed{at, false}, nil
	}
	return bad("unknown kind " + kind)
}

// resolve looks up all seeds anew and returns their addresses, each once and
// none of our own, in random order. The error tells of the seeds that could
// not be looked up; the addresses of the others are good.
func (c *Cluster) resolve(ctx context.Context) ([]netip.AddrPort, error) {
	ctx, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()
	var addrs []netip.AddrPort
	var errs []error
	for _, s := range c.cfg.seeds {
		found, err := s.resolve(ctx, c.cfg.Seams.Resolver)
		if err != nil {
			c.gossip.counts.seedErrors.Add(1)
			errs = append(errs, fmt.Errorf("cluster: look up seed %s: %w", s.host, err))
		}
		addrs = append(addrs, found...)
	}
	return c.strangers(addrs), errors.Join(errs...)
}

// strangers drops our own addresses and what comes twice, and shuffles.
func (c *Cluster) strangers(addrs []netip.AddrPort) []netip.AddrPort {
	seen := make(map[netip.AddrPort]bool, len(addrs))
	kept := addrs[:0]
	for _, a := range addrs {
		if !seen[a] && !c.own[a] {
			seen[a] = true
			kept = append(kept, a)
		}
	}
	c.cfg.Seams.Rand.Shuffle(len(kept), func(i, j int) { kept[i], kept[j] = kept[j], kept[i] })
	return kept
}

func (s seed) resolve(ctx context.Context, r Resolver) ([]netip.AddrPort, error) {
	if !s.srv {
		return s.hostPort.resolve(ctx, r)
	}
	_, records, err := r.LookupSRV(ctx, "", "", s.host)
	var addrs []netip.AddrPort
	for _, record := range records {
		target := hostPort{strings.TrimSuffix(record.Target, "."), record.Port}
		found, lookupErr := target.resolve(ctx, r)
		err = errors.Join(err, lookupErr)
		addrs = append(addrs, found...)
	}
	return addrs, err
}

// resolve returns all addresses of a host. memberlist would ask one name server
// for records of any type, which many refuse.
func (h hostPort) resolve(ctx context.Context, r Resolver) ([]netip.AddrPort, error) {
	if ip, err := netip.ParseAddr(h.host); err == nil {
		return []netip.AddrPort{netip.AddrPortFrom(ip.Unmap(), h.port)}, nil
	}
	ips, err := r.LookupNetIP(ctx, "ip", h.host)
	addrs := make([]netip.AddrPort, len(ips))
	for i, ip := range ips {
		addrs[i] = netip.AddrPortFrom(ip.Unmap(), h.port)
	}
	return addrs, err
}

// ownAddresses returns all addresses under which this node could find itself.
func ownAddresses(p *plan, addr netip.AddrPort) map[netip.AddrPort]bool {
	bound := p.bind.Addr()
	own := map[netip.AddrPort]bool{addr: true, netip.AddrPortFrom(bound, addr.Port()): true}
	if !bound.IsUnspecified() || p.Seams.Transport != nil {
		return own
	}
	local, _ := net.InterfaceAddrs() // none known: a join of ourselves is refused anyway
	for _, a := range local {
		if prefix, err := netip.ParsePrefix(a.String()); err == nil {
			own[netip.AddrPortFrom(prefix.Addr().Unmap(), addr.Port())] = true
		}
	}
	return own
}
