package transport_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/transport"
)

func TestLoneCallIsSentAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		h := w.host("n2").start()
		p := w.pool(h)
		mustTake(t, p, h, "first")
		time.Sleep(10*time.Second + time.Millisecond) // between two pings
		begin := time.Now()
		mustTake(t, p, h, "alice")
		if took := time.Since(begin); took != 0 {
			t.Errorf("Take took %v of virtual time, want 0: something waits for a timer", took)
		}
	})
}

func TestWaitingCallsShareFrames(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		h := w.host("n2").start()
		open := h.shut()
		p := w.pool(h)
		const calls = 2*transport.FrameItems + 1
		var group sync.WaitGroup
		for i := range calls {
			group.Go(func() {
				if _, err := take(p, h, fmt.Sprint(i)); err != nil {
					t.Errorf("Take(%d) = %v, want a decision", i, err)
				}
			})
		}
		synctest.Wait() // all wait for the link
		open()
		group.Wait()
		if s := linkStats(t, p); s.Frames != 3 || s.Items != calls || s.Answered != calls {
			t.Errorf("%d calls: %+v, want as many items in 3 frames", calls, s)
		}
	})
}

func TestBusyCallersShareFrames(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		h := w.host("n2").start()
		p := w.pool(h)
		mustTake(t, p, h, "first")
		const callers, each = 64, 50
		var group sync.WaitGroup
		for i := range callers {
			group.Go(func() {
				for range each {
					if _, err := take(p, h, fmt.Sprint(i)); err != nil {
						t.Errorf("Take(%d) = %v, want a decision", i, err)
					}
				}
			})
		}
		group.Wait()
		s := linkStats(t, p)
		if s.Items != callers*each+1 || s.Frames >= s.Items {
			t.Errorf("%d items in %d frames, want %d items in fewer frames", s.Items, s.Frames, callers*each+1)
		}
		t.Logf("%d items in %d frames", s.Items, s.Frames)
	})
}

// TestFrameStaysBelowItsBound sends the largest calls there are, and the longest
// refusals, all of them waiting at once.
func TestFrameStaysBelowItsBound(t *testing.T) {
	eight := bucketring.MustParse("1/s, 1/2s, 1/3s, 1/4s, 1/5s, 1/6s, 1/7s, 1/8s")
	named := func(name string) []bucketring.Limit {
		limits := append([]bucketring.Limit{}, eight...)
		for i := range limits {
			limits[i].Name, limits[i].Per = name, bucketring.MaxPer-time.Duration(i)*time.Second
			limits[i].Amount, limits[i].Burst = 1<<62, 1<<62
		}
		return limits
	}
	long := strings.Repeat("n", transport.MaxName)
	charges := func(n int, key, name string) []bucketring.Charge {
		charges := make([]bucketring.Charge, n)
		for i := range charges {
			charges[i] = bucketring.Charge{Key: key, Cost: 1 << 62, Window: -1 << 62, ID: bucketring.ID{1}, Shadow: true, Limit: &bucketring.Limit{
				Name: name, ID: uint64(i + 1), Kind: bucketring.KindConcurrency, Precision: 6, Amount: 1 << 62, TTL: 1 << 62, MaxAge: 1 << 62,
				Accuracy: bucketring.Approx, Unavailable: bucketring.UnavailableDeny}}
		}
		return charges
	}
	ids := func(n int) []string { return slices.Repeat([]string{bucketring.ID{1}.Text(1<<16 - 1)}, n) }
	for name, req := range map[string]bucketring.Request{
		"long keys, eight limits":  {Key: strings.Repeat("k", bucketring.MaxKeyLen), Limits: eight, Cost: 1},
		"short keys, eight limits": {Key: "k", Limits: named("l"), Cost: 1 << 62},
		"long names":               {Key: "k", Limits: named(long), Cost: 1 << 62},
		"one limit":                {Key: "k", Limits: named(long)[:1], Cost: 1 << 62},
		"smallest":                 {Key: "k", Limits: perMinute, Cost: 1},
		"policy, most limits":      {Charges: charges(64, "k", "l"), Each: true, Partition: 1<<16 - 1, Version: -1 << 62},
		"policy, long keys":        {Charges: charges(8, strings.Repeat("k", bucketring.MaxKeyLen), long), Partition: 1<<16 - 1},
		"policy, one limit":        {Charges: charges(1, "k", "l"), Each: true, Partition: 1<<16 - 1, Version: -1 << 62},
		"renew many":               {Verb: bucketring.VerbRenew, IDs: ids(300), Cost: 1 << 62, Version: -1 << 62},
		"renew one":                {Verb: bucketring.VerbRenew, IDs: ids(1), Cost: 1 << 62, Version: -1 << 62},
		"settle many":              {Verb: bucketring.VerbSettle, IDs: ids(64), Cost: 1 << 62, Version: -1 << 62},
		"settle one":               {Verb: bucketring.VerbSettle, IDs: ids(1), Cost: 1 << 62, CostNanos: 999_999_999, Version: -1 << 62},
	} {
		for _, refuse := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, refused %v", name, refuse), func(t *testing.T) {
				inBubble(t, func(t *testing.T, w *world) { frameSizes(t, w, req, refuse) })
			})
		}
	}
}

func frameSizes(t *testing.T, w *world, req bucketring.Request, refuse bool) {
	h := w.host("n2").start()
	h.owner.decide = func(_ context.Context, req bucketring.Request) (bucketring.Decision, error) {
		if refuse {
			return bucketring.Decision{}, bucketring.Invalidf("%s", strings.Repeat("long reason ", 100))
		}
		d := allow(req)
		d.Remaining, d.ResetAfter, d.RetryAfter = 1<<62, 1<<62, bucketring.Never
		d.Used, d.NextAfter, d.Window, d.LimitState.Allowed = 1<<62, 1<<62, -1<<62, false
		if req.Verb == bucketring.VerbSettle {
			d.Name, d.Limit, d.Kind, d.Precision = strings.Repeat("n", 1000), 1<<62, bucketring.KindConcurrency, 6
			d.Limits = make([]bucketring.LimitState, 1000)
		}
		for i := range d.Limits {
			d.Limits[i] = d.LimitState
		}
		return d, nil
	}
	open := h.shut()
	p := w.pool(h)
	calls := transport.FrameItems + 100
	if len(req.Charges) > 1 || len(req.IDs) > 1 {
		calls = 100 // fill several frames, too
	}
	var group sync.WaitGroup
	for i := range calls {
		group.Go(func() {
			r := req
			if r.Limits = append([]bucketring.Limit{}, req.Limits...); len(r.Limits) > 0 {
				r.Limits[0].Amount -= int64(i) % r.Limits[0].Amount // many calls define one more limit
			}
			r.Charges = slices.Clone(req.Charges)
			for j := range r.Charges { // and these define all of theirs
				l := *r.Charges[j].Limit
				l.Amount -= int64(i)
				r.Charges[j].Limit = &l
			}
			_, err := p.Peer(h.addr()).Take(context.Background(), r)
			if refuse != errors.Is(err, bucketring.ErrInvalid) || !refuse && err != nil {
				t.Errorf("Take(%d) = %.300v, want it refused: %v", i, err, refuse)
			}
		})
	}
	synctest.Wait()
	open()
	group.Wait()
	in, out := h.stats.largest()
	t.Logf("largest frames: %d bytes asked, %d answered", in, out)
	if in > transport.MaxFrame || out > transport.MaxFrame {
		t.Errorf("frames of %d and %d bytes, want at most %d", in, out, transport.MaxFrame)
	}
	if s := linkStats(t, p); s.Reconnects != 0 || s.Items != int64(calls) {
		t.Errorf("link: %+v, want %d items and no break", s, calls)
	}
}

// TestCallThatBreaksTheLinkIsRefusedAlone: one that no frame can carry must not
// reach the link, where it would fail its neighbours again and again.
func TestCallThatBreaksTheLinkIsRefusedAlone(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		h := w.host("n2").start()
		p := w.pool(h)
		mustTake(t, p, h, "first")
		limit := func(name string) []bucketring.Limit {
			return []bucketring.Limit{{Name: name, Amount: 1, Per: time.Second}}
		}
		for name, req := range map[string]bucketring.Request{
			"key":      {Key: strings.Repeat("k", 16<<10), Limits: perMinute},
			"limits":   {Key: strings.Repeat("k", 512), Limits: make([]bucketring.Limit, 30)},
			"name":     {Key: "k", Limits: limit(strings.Repeat("n", transport.MaxName+1))},
			"not text": {Key: "k", Limits: limit("\xff")},
		} {
			if _, err := p.Peer(h.addr()).Take(t.Context(), req); !errors.Is(err, bucketring.ErrInvalid) {
				t.Errorf("Take(too large: %s) = %v, want ErrInvalid", name, err)
			}
		}
		mustTake(t, p, h, "neighbour")
		if s := linkStats(t, p); s.Reconnects != 0 || h.dialed() != 1 {
			t.Errorf("link: %+v after %d dials, want one link that stayed", s, h.dialed())
		}
	})
}

func TestFullQueueFailsAtOnce(t *testing.T) {
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for _, tt := range []struct {
		what  string
		key   string
		calls int
	}{
		{"calls", "k", transport.MaxQueued},
		{"bytes", strings.Repeat("k", 8<<10), transport.MaxBytes / (8 << 10)},
	} {
		t.Run(tt.what, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world) {
				h := w.host("n2").start()
				open := h.shut()
				p := w.pool(h)
				req := bucketring.Request{Key: tt.key, Limits: perMinute, Cost: 1}
				for range tt.calls {
					if _, err := p.Peer(h.addr()).Take(gone, req); !errors.Is(err, context.Canceled) {
						t.Fatalf("Take whose caller is gone = %v, want Canceled", err)
					}
				}
				begin := time.Now()
				_, err := take(p, h, "one too many")
				wantUnavailable(t, "one too many", err)
				if took := time.Since(begin); took != 0 {
					t.Errorf("Take from a full queue took %v, want 0", took)
				}
				open()
				synctest.Wait()
				mustTake(t, p, h, "room again")
				if s := linkStats(t, p); s.Items != 1 {
					t.Errorf("%d calls were sent, want 1: the callers of the others are gone", s.Items)
				}
			})
		})
	}
}

// TestManyLimitsOnOneLink needs more numbers than a link has, some times over.
func TestManyLimitsOnOneLink(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		h := w.host("n2").start()
		p := w.pool(h)
		const callers, each = 4, 5 * transport.MaxDefs / bucketring.MaxLimits / 4 // calls with eight limits
		var group sync.WaitGroup
		for c := range callers {
			group.Go(func() {
				for i := range each {
					req := bucketring.Request{Key: "k", Limits: make([]bucketring.Limit, bucketring.MaxLimits), Cost: 1}
					for j := range req.Limits {
						amount := int64((i*callers+c)*bucketring.MaxLimits + j + 1)
						req.Limits[j] = bucketring.Limit{Name: fmt.Sprint("n", amount), Amount: amount, Per: time.Duration(j+1) * time.Minute}
					}
					want := allow(req)
					got, err := p.Peer(h.addr()).Take(context.Background(), req)
					if diff := cmp.Diff(want, got); err != nil || diff != "" {
						t.Errorf("Take with limits from %d = %v (-want +got):\n%s", req.Limits[0].Amount, err, diff)
						return
					}
				}
			})
		}
		group.Wait()
		if s := linkStats(t, p); s.Reconnects != 0 {
			t.Errorf("link broke %d times, want 0", s.Reconnects)
		}
	})
}
