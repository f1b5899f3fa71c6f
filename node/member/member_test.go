package member_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/node"
	"github.com/bucketring/bucketring/node/member"
)

const countID = 7

// count adds its argument.
func count(r *bucketring.Register, args []int64) []int64 {
	sum := args[0]
	if len(r.Numbers) > 0 {
		sum += r.Numbers[0]
	}
	r.Numbers, r.Until = []int64{sum}, r.Now+int64(time.Hour)
	return []int64{sum}
}

// start makes a member on loopback, which knows the others.
func start(t *testing.T, name string, keys member.Keys, others ...*member.Member) *member.Member {
	t.Helper()
	cfg := member.Config{
		Name: name, Gossip: "127.0.0.1:0", Label: "test", Keys: keys,
		Node: node.Config{Steps: bucketring.Steps{countID: count}, Budget: 5 * time.Second}, // the machine may be busy
	}
	for _, other := range others {
		cfg.Join = append(cfg.Join, other.Cluster().Addr())
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	m, err := member.Start(ctx, cfg)
	if err != nil {
		t.Fatalf("Start(%s) = %v, want a member", name, err)
	}
	t.Cleanup(func() { end(t, m) })
	return m
}

func end(t *testing.T, m *member.Member) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := m.Close(ctx); err != nil {
		t.Errorf("Close = %v, want nil", err)
	}
}

// spend takes n times at the members in turn and returns how many passed.
func spend(t *testing.T, members []*member.Member, key string, n int) (passed int) {
	t.Helper()
	limits := bucketring.MustParse("10/h algorithm=fixed_window accuracy=strict")
	for i := range n {
		d, err := members[i%len(members)].Take(t.Context(), bucketring.Request{Key: key, Limits: limits, Cost: 1})
		if err != nil {
			t.Fatalf("Take(%q) = %v", key, err)
		}
		if d.Allowed {
			passed++
		}
	}
	return passed
}

// TestMembersShareLimits joins three members with secrets, and replaces one: what was spent
// stays spent, and registers keep what they hold.
func TestMembersShareLimits(t *testing.T) {
	keys, err := member.ParseKeys("keys", member.NewKeys())
	if err != nil {
		t.Fatal(err)
	}
	one := start(t, "one", keys)
	two := start(t, "two", keys, one)
	three := start(t, "three", keys, one, two)
	members := []*member.Member{one, two, three}
	var steps []string
	for i := range 30 {
		steps = append(steps, fmt.Sprint("k", i))
	}
	step := func(want int64) {
		t.Helper()
		for i, key := range steps {
			d, err := members[i%len(members)].Take(t.Context(), bucketring.StepRequest(countID, key, 1))
			if err != nil || !slices.Equal(d.Values, []int64{want}) {
				t.Errorf("step of %q = %v, %v, want %d", key, d.Values, err, want)
			}
		}
	}
	step(1)
	for _, key := range steps {
		if passed := spend(t, members, key, 6); passed != 6 {
			t.Errorf("%d of 6 passed, want all", passed)
		}
	}
	members = append(members, start(t, "four", keys, two))
	end(t, one)
	members = members[1:]
	step(2)
	for _, key := range steps {
		if passed := spend(t, members, key, 9); passed != 4 {
			t.Errorf("%d of %q passed after a change, want the 4 that were left", passed, key)
		}
	}
}

// TestStrangersStayOutside: a member with other secrets hears nobody.
func TestStrangersStayOutside(t *testing.T) {
	var rings []int
	var first *member.Member
	for _, name := range []string{"one", "two"} {
		keys, err := member.ParseKeys("keys", member.NewKeys())
		if err != nil {
			t.Fatal(err)
		}
		cfg := member.Config{Name: name, Gossip: "127.0.0.1:0", Label: "test", Keys: keys, Seams: member.Seams{BootstrapAfter: time.Second}}
		if first != nil {
			cfg.Join = []string{first.Cluster().Addr()}
		}
		m, err := member.Start(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer end(t, m)
		first = m
		rings = append(rings, len(m.Node().Ring().Members))
	}
	if !slices.Equal(rings, []int{1, 1}) {
		t.Errorf("members on the rings of strangers = %v, want 1 each", rings)
	}
}

// TestMemberAlone needs no network.
func TestMemberAlone(t *testing.T) {
	m, err := member.Start(t.Context(), member.Config{Name: "alone"})
	if err != nil {
		t.Fatal(err)
	}
	if passed := spend(t, []*member.Member{m}, "k", 12); passed != 10 {
		t.Errorf("%d of 12 passed, want 10", passed)
	}
	var closing sync.WaitGroup
	for range 3 { // as often as somebody wants
		closing.Go(func() { end(t, m) })
	}
	closing.Wait()
}

func TestStartSaysWhatIsWrong(t *testing.T) {
	for name, tt := range map[string]struct {
		cfg  member.Config
		want string
	}{
		"no name":        {member.Config{}, "name is missing"},
		"open gossip":    {member.Config{Name: "n", Gossip: "0.0.0.0:0"}, "0.0.0.0:0 can be reached by strangers"},
		"open peer":      {member.Config{Name: "n", Gossip: "127.0.0.1:0", Peer: ":0"}, ":0 can be reached by strangers"},
		"no such host":   {member.Config{Name: "n", Gossip: "127.0.0.1:0", Peer: "127.0.0.1:x"}, "listen for peers"},
		"no port":        {member.Config{Name: "n", Gossip: "localhost"}, "strangers"},
		"name too large": {member.Config{Name: strings.Repeat("n", 64), Gossip: "127.0.0.1:0"}, "name"},
	} {
		m, err := member.Start(t.Context(), tt.cfg)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: Start = %v, want an error with %q", name, err, tt.want)
		}
		if err == nil {
			end(t, m)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := member.Start(ctx, member.Config{Name: "n", Gossip: "127.0.0.1:0", Join: []string{"127.0.0.1:1"}}); !errors.Is(err, context.Canceled) {
		t.Errorf("Start with a context that is done = %v, want its error", err)
	}
}
