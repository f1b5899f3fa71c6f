// discover.go turns seeds into addresses.

package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"
)

// lookupTime bounds the lookups of all seeds together.
const lookupTime = 5 * time.Second

// A seed says where other nodes may be.
type seed struct {
	hostPort
	srv  bool   // host is the name of SRV records, which have the ports
	file string // with a host:port on each line; the rest is empty then
}

// name is the seed as errors name it.
func (s *seed) name() string { return cmp.Or(s.file, s.host) }

// parseSeed reads "host:port", "dns+host:port", "dnssrv+name" or "file+path".
func parseSeed(text string) (seed, error) {
	bad := func(why string) (seed, error) {
		return seed{}, fmt.Errorf("cluster: seed %q: %s: want host:port, dns+host:port, dnssrv+name or file+path", text, why)
	}
	kind, rest, ok := strings.Cut(text, "+")
	if !ok {
		kind, rest = "dns", text
	}
	switch kind {
	case "file":
		if rest == "" {
			return bad("no path")
		}
		return seed{file: rest}, nil
	case "dnssrv":
		if rest == "" || strings.Contains(rest, ":") || !validText(rest, maxHost) {
			return bad("bad name")
		}
		return seed{hostPort: hostPort{host: rest}, srv: true}, nil
	case "dns":
		at, err := parseTarget(rest)
		if err != nil {
			return bad(err.Error())
		}
		return seed{hostPort: at}, nil
	}
	return bad("unknown kind " + kind)
}

// parseTarget reads the host:port of another node.
func parseTarget(text string) (hostPort, error) {
	at, err := splitHostPort(text)
	if err == nil && (at.host == "" || at.port == 0 || !validText(at.host, maxHost)) {
		err = errors.New("bad host or port 0")
	}
	return at, err
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
			errs = append(errs, fmt.Errorf("cluster: look up seed %s: %w", s.name(), err))
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
	switch {
	case s.file != "":
		return resolveFile(ctx, s.file, r)
	case !s.srv:
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

// resolveFile returns the addresses of all lines of a file but comments. A file without any is
// one that somebody still has to fill. The error names the bad lines; the others are good.
func resolveFile(ctx context.Context, name string, r Resolver) ([]netip.AddrPort, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	var addrs []netip.AddrPort
	no, targets := 0, 0
	for line := range strings.Lines(string(text)) {
		no++
		if line, _, _ = strings.Cut(line, "#"); strings.TrimSpace(line) == "" {
			continue
		}
		targets++
		at, lineErr := parseTarget(strings.TrimSpace(line))
		if lineErr == nil {
			var found []netip.AddrPort
			found, lineErr = at.resolve(ctx, r)
			addrs = append(addrs, found...)
		}
		if lineErr != nil {
			err = errors.Join(err, fmt.Errorf("line %d: %w", no, lineErr))
		}
	}
	if targets == 0 {
		err = errors.New("no host:port in it yet")
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
