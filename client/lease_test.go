package client_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/bucket"
	"github.com/bucketring/bucketring/client"
)

// holder counts leases of one limit, and can be away.
type holder struct {
	*counting
	away     atomic.Bool
	renewals []time.Duration
	released [][]string
}

// jobs allows 2 leases of 60 s, renewed for 30 m.
var jobs = bucketring.Limit{Name: "jobs", ID: 1, Kind: bucketring.KindConcurrency, Amount: 2, TTL: time.Minute, MaxAge: 30 * time.Minute}

func newHolder() *holder { return &holder{counting: newCounting()} }

func (h *holder) now() bucket.Now {
	return bucket.Now{Mono: int64(time.Since(h.began)), Wall: time.Now().UnixNano()}
}

func (h *holder) take(id byte) string {
	lease := bucketring.ID{id}
	h.table.Apply(bucket.Op{N: 1, ID: lease}, bucket.Counter{Key: "k", Limit: &jobs}, h.now())
	return lease.Text(0)
}

// out returns how many leases are out.
func (h *holder) out() int64 {
	return h.table.Apply(bucket.Op{Verb: bucketring.VerbPeek}, bucket.Counter{Key: "k", Limit: &jobs}, h.now()).Used
}

func (h *holder) Take(ctx context.Context, req bucketring.Request) (bucketring.Decision, error) {
	if err := ctx.Err(); err != nil {
		return bucketring.Decision{}, err
	}
	if req.Verb == bucketring.VerbRelease {
		h.released = append(h.released, req.IDs)
	} else {
		h.renewals = append(h.renewals, time.Since(h.began))
	}
	if h.away.Load() {
		return bucketring.Decision{}, bucketring.ErrUnavailable
	}
	d := bucketring.Decision{Allowed: true}
	for _, text := range req.IDs {
		id, part, err := bucketring.ParseID(text)
		if err != nil {
			return d, err
		}
		if req.Verb == bucketring.VerbRelease {
			h.table.Release(part, id, h.now())
		} else if _, found := h.table.Renew(part, id, h.now()); !found {
			d.Allowed = false
			continue
		}
		d.Leases = append(d.Leases, text)
	}
	return d, nil
}

func TestKeepLeases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHolder()
		ids := []string{h.take(1), h.take(2)}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute+time.Second)
		defer cancel()
		go func() {
			time.Sleep(10 * time.Minute)
			if n := h.out(); n != 2 {
				t.Errorf("%d leases are out after 10m, want both", n)
			}
		}()
		if err := client.KeepLeases(ctx, h, ids, time.Minute); err != nil {
			t.Errorf("KeepLeases = %v, want nil", err)
		}
		if n := h.out(); n != 0 || len(h.released) != 1 || !slices.Equal(h.released[0], ids) {
			t.Errorf("%d leases are out, released %v, want both released once", n, h.released)
		}
		if want := []time.Duration{20 * time.Second, 40 * time.Second, time.Minute}; len(h.renewals) != 30 || !slices.Equal(h.renewals[:3], want) {
			t.Errorf("%d renewals, the first after %v, want 30, at %v", len(h.renewals), h.renewals[:3], want)
		}
	})
}

// TestKeepLeasesL10 is the lease's part of vector L10.
func TestKeepLeasesL10(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHolder()
		err := client.KeepLeases(t.Context(), h, []string{h.take(1)}, time.Minute)
		if took := time.Since(h.began); !errors.Is(err, client.ErrLeaseGone) || took != 30*time.Minute {
			t.Errorf("KeepLeases = %v after %v, want ErrLeaseGone after 30m", err, took)
		}
		if n := h.out(); n != 0 {
			t.Errorf("%d leases are out, want none", n)
		}
	})
}

// TestKeepLeasesReleasesTheOthers when one is gone.
func TestKeepLeasesReleasesTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHolder()
		ids := []string{h.take(1), h.take(2)}
		h.table.Release(0, bucketring.ID{1}, h.now())
		err := client.KeepLeases(t.Context(), h, ids, time.Minute)
		if !errors.Is(err, client.ErrLeaseGone) || err.Error() != "client: lease has ended: 1 of 2 are left" || h.out() != 0 {
			t.Errorf("KeepLeases = %v with %d out, want ErrLeaseGone and none", err, h.out())
		}
	})
}

// TestKeepLeasesWhileAway: nodes may be away for nearly the TTL.
func TestKeepLeasesWhileAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHolder()
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			defer cancel()
			time.Sleep(61 * time.Second) // renewed at 60 s
			h.away.Store(true)
			time.Sleep(50 * time.Second) // asked at 80, 85 and so on
			h.away.Store(false)
			time.Sleep(time.Minute)
			if n := h.out(); n != 1 {
				t.Errorf("%d leases are out, want the one that was kept", n)
			}
		}()
		if err := client.KeepLeases(ctx, h, []string{h.take(1)}, time.Minute); err != nil {
			t.Errorf("KeepLeases while nodes are away for 50s = %v, want nil", err)
		}
		want := []time.Duration{20, 40, 60, 80, 85, 90, 95, 100, 105, 110, 115, 135, 155}
		for i := range want {
			want[i] *= time.Second
		}
		if diff := cmp.Diff(want, h.renewals); diff != "" {
			t.Errorf("renewals (-want +got):\n%s", diff)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		h := newHolder()
		h.away.Store(true)
		err := client.KeepLeases(t.Context(), h, []string{h.take(1)}, time.Minute)
		if took := time.Since(h.began); !errors.Is(err, client.ErrLeaseGone) || !errors.Is(err, bucketring.ErrUnavailable) || took != time.Minute {
			t.Errorf("KeepLeases while nodes are away = %v after %v, want ErrLeaseGone and ErrUnavailable after 1m", err, took)
		}
	})
}

func TestKeepLeasesRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHolder()
		if err := client.KeepLeases(t.Context(), h, []string{h.take(1)}, time.Millisecond); !errors.Is(err, bucketring.ErrInvalid) {
			t.Errorf("KeepLeases for 1ms = %v, want ErrInvalid", err)
		}
		if err := client.KeepLeases(t.Context(), h, []string{"x"}, time.Minute); !errors.Is(err, bucketring.ErrInvalid) {
			t.Errorf("KeepLeases of what is no id = %v, want ErrInvalid", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		h.renewals, h.released = nil, nil
		if err := client.KeepLeases(ctx, h, nil, time.Minute); err != nil || ctx.Err() == nil {
			t.Errorf("KeepLeases of nothing = %v, %v, want to wait for its end", err, ctx.Err())
		}
		if len(h.renewals)+len(h.released) > 0 {
			t.Errorf("KeepLeases of nothing has asked")
		}
	})
}

// TestKeepLeasesThatCannotBeReleased says so: they are out for a while.
func TestKeepLeasesThatCannotBeReleased(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHolder()
		h.away.Store(true)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := client.KeepLeases(ctx, h, []string{h.take(1)}, time.Minute)
		want := "client: release leases, which end by themselves now: bucketring: unavailable"
		if diff := cmp.Diff(want, err.Error()); diff != "" {
			t.Errorf("KeepLeases (-want +got):\n%s", diff)
		}
	})
}
