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
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

const (
	// lookupTime bounds the lookups of all seeds together.
	lookupTime = 5 * time.Second
	// maxPrinted bounds what a program may print, in bytes.
	maxPrinted = 1 << 20
)

// A seed says where other nodes may be.
type seed struct {
	hostPort
	srv  bool   // host is the name of SRV records, which have the ports
	file string // with a host:port on each line; the rest is empty then
	run  string // program that prints such lines; the rest is empty then
}

// name is the seed as errors name it.
func (s *seed) name() string { return cmp.Or(s.file, s.run, s.host) }

// parseSeed reads "host:port", "dns+host:port", "dnssrv+name", "file+path" or "exec+path".
func parseSeed(text string) (seed, error) {
	bad := func(why string) (seed, error) {
		return seed{}, fmt.Errorf("cluster: seed %q: %s: want host:port, dns+host:port, dnssrv+name, file+path or exec+path", text, why)
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
	case "exec":
		if !filepath.IsAbs(rest) {
			return bad("a program is named by its whole path")
		}
		return seed{run: rest}, nil
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
		text, err := os.ReadFile(s.file)
		if err != nil {
			return nil, err
		}
		return resolveLines(ctx, text, r)
	case s.run != "":
		text, err := printed(ctx, s.run)
		if err != nil {
			return nil, err
		}
		return resolveLines(ctx, text, r)
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

// printed returns what a program prints that runs as this node's user, without arguments. What
// it does not end in time is killed, and its own children are not waited for.
func printed(ctx context.Context, path string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, path)
	cmd.WaitDelay = time.Second
	text, err := cmd.Output()
	var failed *exec.ExitError
	if errors.As(err, &failed) {
		if why, _, _ := strings.Cut(strings.TrimSpace(string(failed.Stderr)), "\n"); why != "" {
			err = fmt.Errorf("%w: %.200q", err, why)
		}
	}
	if err == nil && len(text) > maxPrinted {
		err = fmt.Errorf("it prints %d bytes, at most %d are read", len(text), maxPrinted)
	}
	return text, err
}

// resolveLines returns the addresses of all lines but comments. A text without any is one that
// somebody still has to fill. The error names the bad lines; the others are good.
func resolveLines(ctx context.Context, text []byte, r Resolver) ([]netip.AddrPort, error) {
	var addrs []netip.AddrPort
	var err error
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
