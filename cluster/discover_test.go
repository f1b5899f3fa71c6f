package cluster_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bucketring/bucketring/cluster"
)

// A fakeResolver knows some names, and can learn.
type fakeResolver struct {
	mu  sync.Mutex // guards what follows
	ips map[string][]string
	srv map[string][]*net.SRV
}

func (r *fakeResolver) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var ips []netip.Addr
	for _, ip := range r.ips[host] {
		ips = append(ips, netip.MustParseAddr(ip))
	}
	if ips == nil {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	return ips, nil
}

func (r *fakeResolver) LookupSRV(_ context.Context, service, proto, name string) (string, []*net.SRV, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.srv[name] == nil || service != "" || proto != "" {
		return "", nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
	}
	return name, r.srv[name], nil
}

func (r *fakeResolver) learn(host string, ips ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ips = map[string][]string{host: ips}
}

func TestSeedsResolve(t *testing.T) {
	resolver := &fakeResolver{
		ips: map[string][]string{
			"peers.test": {"10.0.0.1", "10.0.0.7", "::ffff:10.0.0.8", "2001:db8::7"},
			"a.test":     {"10.0.0.7"},
			"b.test":     {"10.0.0.9"},
		},
		srv: map[string][]*net.SRV{"_gossip._tcp.test": {
			{Target: "a.test.", Port: 7001}, {Target: "b.test.", Port: 7002}, {Target: "away.test.", Port: 7003},
		}},
	}
	tests := []struct {
		seed    string
		want    []string
		wantErr bool
	}{
		{"10.0.0.7:7752", []string{"10.0.0.7:7752"}, false},
		{"[2001:db8::7]:7752", []string{"[2001:db8::7]:7752"}, false},
		{addr(1), nil, false}, // ourselves
		{"10.0.0.1:9999", []string{"10.0.0.1:9999"}, false},
		{"peers.test:7752", []string{"10.0.0.7:7752", "10.0.0.8:7752", "[2001:db8::7]:7752"}, false},
		{"dns+peers.test:7752", []string{"10.0.0.7:7752", "10.0.0.8:7752", "[2001:db8::7]:7752"}, false},
		{"dnssrv+_gossip._tcp.test", []string{"10.0.0.7:7001", "10.0.0.9:7002"}, true},
		{"away.test:7752", nil, true},
		{"dnssrv+away.test", nil, true},
	}
	for _, tt := range tests {
		t.Run(tt.seed, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				cfg := w.config(1)
				cfg.Seeds, cfg.Seams.Resolver, cfg.BootstrapAfter = []string{tt.seed, tt.seed}, resolver, time.Millisecond
				c := w.join(cfg)
				c.Close() // its goroutine uses the same random numbers
				addrs, err := c.Resolve(t.Context())
				var got []string
				for _, a := range addrs {
					got = append(got, a.String())
				}
				slices.Sort(got)
				if diff := cmp.Diff(tt.want, got); diff != "" || (err != nil) != tt.wantErr {
					t.Errorf("Resolve(): err %v, diff\n%s", err, diff)
				}
				if s := c.Stats(); tt.wantErr != (s.SeedErrors > 0) {
					t.Errorf("Stats() counts %d seed errors", s.SeedErrors)
				}
			})
		})
	}
}

// A name is looked up at each use, so a node that DNS learns of late is found.
func TestSeedsAreLookedUpAnew(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		resolver := &fakeResolver{}
		a, b := w.config(1), w.config(2)
		a.Seeds, b.Seeds = []string{"dns+peers.test:7752"}, nil
		a.Seams.Resolver = resolver
		w.join(b)
		time.AfterFunc(30*time.Second, func() { resolver.learn("peers.test", "10.0.0.1", "10.0.0.2") })
		w.join(a)
		w.until(time.Second, "both are alone", func() bool { return len(w.nodes["node-1"].Ring().Members) == 1 })
		w.agree(40*time.Second, 2)
	})
}

func TestMalformedSeeds(t *testing.T) {
	for _, seed := range []string{
		"", "10.0.0.1", "10.0.0.1:", ":7752", "10.0.0.1:0", "10.0.0.1:gossip", "10.0.0.1:70000",
		"tcp+10.0.0.1:7752", "dnssrv+", "dnssrv+name:7752", "dns+name", "a b:1", "2001:db8::1:7752x", "file+", "exec+", "exec+true",
	} {
		_, err := cluster.Join(t.Context(), cluster.Config{
			Name: "node", Bind: "127.0.0.1:0", Peer: ":1", Seeds: []string{seed},
		})
		if err == nil || !strings.HasPrefix(err.Error(), "cluster: seed ") {
			t.Errorf("Join with seed %q = %v, want an error that names it", seed, err)
		}
	}
}

func TestEnoughSeeds(t *testing.T) {
	for n, want := range map[int]int{1: 4, 2: 4, 9: 4, 10: 8, 99: 8, 100: 12} {
		if got := cluster.Enough(n); got != want {
			t.Errorf("enough(%d) = %d, want %d", n, got, want)
		}
	}
}

// A node whose seeds do not answer finds the others where they were before its start. It
// tries the seeds first, and those that it knew for as long as it lives.
func TestKnownAddressesAreSeeds(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.join(w.config(1))
		cfg := w.config(4)
		cfg.Seeds = []string{addr(8)}
		for _, i := range []int{4, 7, 1} { // itself, nobody, and one that is there
			cfg.Known = append(cfg.Known, netip.MustParseAddrPort(addr(i)))
		}
		begin := time.Now()
		c := w.join(cfg)
		if took := time.Since(begin); len(c.Ring().Members) != 2 || took >= 10*time.Second {
			t.Errorf("after %v the members are %v, want both before it would have gone on alone", took, states(c))
		}
		late := w.config(7)
		late.Seeds = nil
		w.join(late)
		w.agree(time.Minute, 3)
	})
}

// Nobody is where others were: a node without seeds goes on alone when its time is over.
func TestKnownAddressesThatAreGone(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		cfg := w.config(1)
		cfg.Seeds, cfg.Known = nil, []netip.AddrPort{netip.MustParseAddrPort(addr(7))}
		begin := time.Now()
		w.join(cfg)
		if took := time.Since(begin); took != 10*time.Second {
			t.Errorf("Join took %v, want 10s", took)
		}
	})
}

// A file of seeds is read at each use, and its good lines count beside bad ones.
func TestFileOfSeeds(t *testing.T) {
	name := filepath.Join(t.TempDir(), "seeds")
	write := func(text string) {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	inWorld(t, func(t *testing.T, w *world) {
		cfg := w.config(1)
		cfg.Seeds, cfg.BootstrapAfter = []string{"file+" + name}, time.Millisecond
		cfg.Seams.Resolver = &fakeResolver{ips: map[string][]string{"a.test": {"10.0.0.9"}}}
		c := w.join(cfg)
		c.Close() // its goroutine uses the same random numbers
		for _, tt := range []struct{ text, want, wrong string }{
			{"", "[]", "no host:port in it yet"},
			{"# nobody\n\n", "[]", "no host:port in it yet"},
			{"10.0.0.7:7752 # the first\n\n  a.test:7752\r\n10.0.0.7:7752\n" + addr(1), "[10.0.0.7:7752 10.0.0.9:7752]", ""},
			{"10.0.0.7\n10.0.0.8:7752\nb.test:1\n:7752\n", "[10.0.0.8:7752]", "line 1: want host:port"},
			{"10.0.0.8:0", "[]", "line 1: bad host or port 0"},
			{addr(1), "[]", ""},
		} {
			write(tt.text)
			addrs, err := c.Resolve(t.Context())
			slices.SortFunc(addrs, netip.AddrPort.Compare)
			if got := fmt.Sprint(addrs); got != tt.want || (err == nil) != (tt.wrong == "") || err != nil && !strings.Contains(err.Error(), tt.wrong) {
				t.Errorf("%q: %s, %v, want %s and %q", tt.text, got, err, tt.want, tt.wrong)
			}
		}
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Resolve(t.Context()); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("without the file: %v, want an error that names it", err)
		}
	})
}

// A program that prints seeds runs at each use.
func TestProgramOfSeeds(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "seeds")
	inWorld(t, func(t *testing.T, w *world) {
		cfg := w.config(1)
		cfg.Seeds, cfg.BootstrapAfter = []string{"exec+" + name}, time.Millisecond
		c := w.join(cfg)
		c.Close() // its goroutine uses the same random numbers
		for _, tt := range []struct{ script, want, wrong string }{
			{"echo 10.0.0.7:7752; echo '# nobody'; echo " + addr(1), "[10.0.0.7:7752]", ""},
			{"echo 10.0.0.8:7752; echo x", "[10.0.0.8:7752]", "line 2: want host:port"},
			{"echo 10.0.0.8:7752; echo 'no such zone' >&2; exit 3", "[]", `exit status 3: "no such zone"`},
			{"exit 0", "[]", "no host:port in it yet"},
			{"head -c 2000000 /dev/zero", "[]", "it prints 2000000 bytes, at most 1048576 are read"},
		} {
			if err := os.WriteFile(name+".new", []byte("#!/bin/sh\n"+tt.script+"\n"), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(name+".new", name); err != nil {
				t.Fatal(err)
			}
			addrs, err := c.Resolve(t.Context())
			if got := fmt.Sprint(addrs); got != tt.want || (err == nil) != (tt.wrong == "") || err != nil && !strings.Contains(err.Error(), tt.wrong) {
				t.Errorf("%q: %s, %v, want %s and %q", tt.script, got, err, tt.want, tt.wrong)
			}
		}
	})
}

// A program that does not end is ended, and who holds what it printed to is not waited for.
func TestProgramOfSeedsThatHangs(t *testing.T) {
	for _, script := range []string{"exec sleep 1000", "sleep 3 & exec sleep 1000"} {
		name := filepath.Join(t.TempDir(), "seeds")
		if err := os.WriteFile(name, []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		_, err := cluster.Printed(ctx, name)
		cancel()
		if err == nil {
			t.Errorf("%q: no error, want it ended", script)
		}
	}
}

// A file that is filled late brings nodes together.
func TestFileOfSeedsIsReadAnew(t *testing.T) {
	name := filepath.Join(t.TempDir(), "seeds")
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.config(1), w.config(2)
		a.Seeds, b.Seeds = []string{"file+" + name}, nil
		w.join(b)
		time.AfterFunc(30*time.Second, func() {
			if err := os.WriteFile(name, []byte(addr(2)+"\n"), 0o600); err != nil {
				t.Error(err)
			}
		})
		w.join(a)
		w.until(time.Second, "both are alone", func() bool { return len(w.nodes["node-1"].Ring().Members) == 1 })
		w.agree(50*time.Second, 2)
	})
}
