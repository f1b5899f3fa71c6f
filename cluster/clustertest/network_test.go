package clustertest_test

import (
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/bucketring/bucketring/cluster/clustertest"
)

const a, b = "10.0.0.1:7752", "10.0.0.2:7752"

// pair runs test in a bubble with the transports of a and b.
func pair(t *testing.T, test func(t *testing.T, n *clustertest.Network, ta, tb memberlist.Transport)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := clustertest.NewNetwork(1)
		ta, tb := n.Transport(a), n.Transport(b)
		defer ta.Shutdown()
		defer tb.Shutdown()
		test(t, n, ta, tb)
	})
}

// received returns how many packets have arrived.
func received(t memberlist.Transport) int {
	synctest.Wait()
	n := 0
	for len(t.PacketCh()) > 0 {
		<-t.PacketCh()
		n++
	}
	return n
}

// dial opens a stream from ta to b and returns both ends.
func dial(t *testing.T, ta, tb memberlist.Transport) (near, far net.Conn) {
	t.Helper()
	near, err := ta.DialTimeout(b, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	return near, <-tb.StreamCh()
}

func TestPackets(t *testing.T) {
	pair(t, func(t *testing.T, n *clustertest.Network, ta, tb memberlist.Transport) {
		buf := []byte("hello")
		ta.WriteTo(buf, b)
		buf[0] = 'j'
		if p := <-tb.PacketCh(); string(p.Buf) != "hello" || p.From.String() != a {
			t.Errorf("got %q from %v, want hello from %s", p.Buf, p.From, a)
		}
		ta.WriteTo(buf, "10.0.0.9:7752") // nobody there, nobody told
		for range 10_000 {
			ta.WriteTo(buf, b)
		}
		if got := received(tb); got != 4096 {
			t.Errorf("%d packets fit without a reader, want 4096", got)
		}
	})
}

func TestDelayAndLoss(t *testing.T) {
	pair(t, func(t *testing.T, n *clustertest.Network, ta, tb memberlist.Transport) {
		n.Delay(50 * time.Millisecond)
		begin := time.Now()
		ta.WriteTo([]byte("x"), b)
		if p := <-tb.PacketCh(); time.Since(begin) != 50*time.Millisecond || !p.Timestamp.Equal(time.Now()) {
			t.Errorf("packet after %v, want 50ms", time.Since(begin))
		}
		near, far := dial(t, ta, tb)
		near.Write([]byte("x"))
		far.Read(make([]byte, 1))
		if took := time.Since(begin); took != 200*time.Millisecond {
			t.Errorf("dial and read ended at %v, want 200ms", took)
		}
		n.Delay(0)
		n.Loss(0.3)
		for range 1000 {
			ta.WriteTo([]byte("x"), b)
		}
		if got := received(tb); got < 600 || got > 800 {
			t.Errorf("%d of 1000 packets arrived, want about 700", got)
		}
	})
}

func TestCutIsOneWay(t *testing.T) {
	pair(t, func(t *testing.T, n *clustertest.Network, ta, tb memberlist.Transport) {
		near, far := dial(t, ta, tb)
		n.Cut(a, b)
		ta.WriteTo([]byte("x"), b)
		tb.WriteTo([]byte("x"), a)
		if there, back := received(tb), received(ta); there != 0 || back != 1 {
			t.Errorf("%d packets there, %d back: want 0 and 1", there, back)
		}
		far.SetReadDeadline(time.Now().Add(time.Second))
		near.Write([]byte("x"))
		if _, err := far.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Read() through a cut = %v", err)
		}
		begin := time.Now()
		if _, err := ta.DialTimeout(b, 2*time.Second); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(begin) != 2*time.Second {
			t.Errorf("Dial() = %v after %v, want the whole timeout", err, time.Since(begin))
		}
		time.AfterFunc(3*time.Second, func() { n.Heal(a, b) })
		far.SetDeadline(time.Time{})
		if k, err := far.Read(make([]byte, 9)); k != 1 || err != nil {
			t.Errorf("Read() after healing = %d, %v", k, err)
		}
	})
}

func TestSplit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := clustertest.NewNetwork(1)
		addrs := []string{a, b, "10.0.0.3:7752", "10.0.0.4:7752"}
		var all []memberlist.Transport
		for _, addr := range addrs {
			all = append(all, n.Transport(addr))
			defer all[len(all)-1].Shutdown()
		}
		reach := func() (got []string) {
			for i, from := range all {
				for j, to := range all {
					if from.WriteTo([]byte("x"), addrs[j]); i != j && received(to) > 0 {
						got = append(got, string(rune('1'+i))+string(rune('1'+j)))
					}
					received(to)
				}
			}
			return got
		}
		n.Split(addrs[:2], addrs[2:3])
		if got, want := reach(), strings.Fields("12 14 21 24 34 41 42 43"); !slices.Equal(got, want) {
			t.Errorf("reached %v, want %v", got, want)
		}
		n.HealAll()
		if got := reach(); len(got) != 12 {
			t.Errorf("reached %v, want all", got)
		}
	})
}

func TestKill(t *testing.T) {
	pair(t, func(t *testing.T, n *clustertest.Network, ta, tb memberlist.Transport) {
		near, _ := dial(t, ta, tb)
		time.AfterFunc(time.Second, func() { n.Kill(b) })
		if _, err := near.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("Read() = %v, want a reset", err)
		}
		ta.WriteTo([]byte("x"), b)
		tb.WriteTo([]byte("x"), a)
		if received(ta)+received(tb) != 0 {
			t.Error("a killed host sends or receives packets")
		}
		begin := time.Now()
		_, err := ta.DialTimeout(b, 5*time.Second)
		var timeout net.Error
		if !errors.As(err, &timeout) || !timeout.Timeout() || time.Since(begin) != 5*time.Second {
			t.Errorf("Dial() = %v after %v, want a timeout after 5s", err, time.Since(begin))
		}
		again := n.Transport(b)
		defer again.Shutdown()
		tb.Shutdown() // must not take the new one along
		ta.WriteTo([]byte("x"), b)
		if received(again) != 1 {
			t.Error("the address does not work for its next owner")
		}
	})
}

func TestShutdownEndsAllThatWaits(t *testing.T) {
	pair(t, func(t *testing.T, n *clustertest.Network, ta, tb memberlist.Transport) {
		near, _ := dial(t, ta, tb)
		n.Kill("10.0.0.9:7752")
		ended := make(chan error, 2)
		go func() {
			_, err := ta.DialTimeout("10.0.0.9:7752", time.Hour)
			ended <- err
		}()
		go func() {
			_, err := near.Read(make([]byte, 1))
			ended <- err
		}()
		synctest.Wait()
		begin := time.Now()
		ta.Shutdown()
		if err := errors.Join(<-ended, <-ended); time.Since(begin) != 0 {
			t.Errorf("ended after %v: %v", time.Since(begin), err)
		}
		if _, err := tb.DialTimeout(a, time.Hour); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("Dial() to nobody = %v, want refused", err)
		}
		n.Transport(a).Shutdown()
	})
}

func TestStream(t *testing.T) {
	pair(t, func(t *testing.T, n *clustertest.Network, ta, tb memberlist.Transport) {
		near, far := dial(t, ta, tb)
		if near.LocalAddr().String() != a || near.RemoteAddr().String() != b || far.LocalAddr().String() != b {
			t.Errorf("addresses %v %v %v", near.LocalAddr(), near.RemoteAddr(), far.LocalAddr())
		}
		near.Write([]byte("hello "))
		near.Write([]byte("world"))
		near.Close()
		if got, err := io.ReadAll(far); string(got) != "hello world" || err != nil {
			t.Errorf("read %q, %v", got, err)
		}
		if _, err := far.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
			t.Errorf("Write() to a closed end = %v, want EPIPE", err)
		}
		if _, err := near.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Read() after Close = %v, want ErrClosed", err)
		}
		if _, err := near.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Write() after Close = %v, want ErrClosed", err)
		}
		far.SetWriteDeadline(time.Now())
		time.AfterFunc(time.Second, func() { far.SetReadDeadline(time.Now()) }) // moves one that waits
	})
}

func TestMisuse(t *testing.T) {
	n := clustertest.NewNetwork(1)
	n.Transport(a)
	for _, addr := range []string{a, "nonsense", "host:1"} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("Transport(%q) does not panic", addr)
				}
			}()
			n.Transport(addr)
		}()
	}
	n.Heal(a, b) // a panic leaves no lock behind
}

// Real memberlist meets through the network.
func TestMemberlist(t *testing.T) {
	pair(t, func(t *testing.T, n *clustertest.Network, ta, tb memberlist.Transport) {
		var lists []*memberlist.Memberlist
		for name, tr := range map[string]memberlist.Transport{"a": ta, "b": tb} {
			cfg := memberlist.DefaultLANConfig()
			cfg.Name, cfg.Transport, cfg.LogOutput, cfg.Label = name, tr, io.Discard, "label"
			m, err := memberlist.Create(cfg)
			if err != nil {
				t.Fatal(err)
			}
			lists = append(lists, m)
		}
		if _, err := lists[0].Join([]string{lists[1].LocalNode().Address()}); err != nil {
			t.Error(err)
		}
		time.Sleep(10 * time.Second)
		for _, m := range lists {
			if m.NumMembers() != 2 {
				t.Errorf("%d members, want 2", m.NumMembers())
			}
			m.Shutdown()
		}
		time.Sleep(time.Minute)
	})
}
