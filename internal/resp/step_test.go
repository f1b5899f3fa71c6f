package resp_test

import (
	"encoding/binary"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/internal/resp"
)

// TestFrozenStep has what nodes of other versions send and expect, number by number.
func TestFrozenStep(t *testing.T) {
	const now, idle, end = int64(1_000_000_000_500_000_007), int64(time.Hour), int64(1_000_000_060_500)
	for name, tt := range map[string]struct {
		numbers, args, answer, after []int64
		until                        int64
	}{
		"look at nothing":   {nil, []int64{0, 0, idle, 0, 0, 0, 0, 0}, []int64{1, 0, 0, 0, -2}, nil, 0},
		"look":              {[]int64{5, end}, []int64{0, 0, idle, 0, 0, 0, 0, 0}, []int64{0, 1, 5, 5, 60_000}, []int64{5, end}, 99},
		"get":               {[]int64{5, 0}, []int64{1, 1, idle, 0, 0, 0, 0, 0}, []int64{0, 1, 5, 5, -1}, []int64{5, 0}, now + idle},
		"set":               {nil, []int64{2, 0, idle, 7, 0, 0, 2, 60}, []int64{0, 0, 0, 7, 60_000}, []int64{7, end}, end * 1e6},
		"set if there":      {nil, []int64{2, 1, idle, 7, 0, 0, 1, 0}, []int64{1, 0, 0, 0, -2}, nil, 0},
		"set if absent":     {[]int64{5, 0}, []int64{2, 2, idle, 7, 0, 0, 1, 0}, []int64{2, 1, 5, 5, -1}, []int64{5, 0}, now + idle},
		"add":               {[]int64{5, end}, []int64{3, 0, idle, 7, -100, 100, 0, 0}, []int64{0, 1, 5, 12, 60_000}, []int64{12, end}, end * 1e6},
		"add and saturate":  {[]int64{5, end}, []int64{3, 64, idle, 7, -100, 10, 1, 0}, []int64{0, 1, 5, 10, -1}, []int64{10, 0}, now + idle},
		"add or overflow":   {[]int64{math.MaxInt64, 0}, []int64{3, 128, idle, 7, -100, 10, 1, 0}, []int64{3, 1, math.MaxInt64, math.MaxInt64, -1}, []int64{math.MaxInt64, 0}, now + idle},
		"add, ENX":          {[]int64{5, end}, []int64{3, 4, idle, 1, 0, 9, 3, 5}, []int64{0, 1, 5, 6, 60_000}, []int64{6, end}, end * 1e6},
		"expire":            {[]int64{5, 0}, []int64{4, 0, idle, 0, 0, 0, 5, end}, []int64{0, 1, 5, 5, 60_000}, []int64{5, end}, end * 1e6},
		"expire, NX":        {[]int64{5, end}, []int64{4, 4, idle, 0, 0, 0, 3, 1}, []int64{2, 1, 5, 5, 60_000}, []int64{5, end}, end * 1e6},
		"expire, XX":        {[]int64{5, 0}, []int64{4, 8, idle, 0, 0, 0, 3, 1}, []int64{2, 1, 5, 5, -1}, []int64{5, 0}, now + idle},
		"expire, GT":        {[]int64{5, end}, []int64{4, 16, idle, 0, 0, 0, 3, 1}, []int64{2, 1, 5, 5, 60_000}, []int64{5, end}, end * 1e6},
		"expire, LT":        {[]int64{5, end}, []int64{4, 32, idle, 0, 0, 0, 3, 60_001}, []int64{2, 1, 5, 5, 60_000}, []int64{5, end}, end * 1e6},
		"expire too late":   {[]int64{5, 0}, []int64{4, 0, idle, 0, 0, 0, 4, math.MaxInt64}, []int64{4, 1, 5, 5, -1}, []int64{5, 0}, now + idle},
		"expire late":       {[]int64{5, 0}, []int64{4, 0, idle, 0, 0, 0, 5, math.MaxInt64}, []int64{0, 1, 5, 5, math.MaxInt64 - now/1e6}, []int64{5, math.MaxInt64}, math.MaxInt64},
		"expire now":        {[]int64{5, 0}, []int64{4, 0, idle, 0, 0, 0, 5, now / 1e6}, []int64{0, 1, 5, 5, -2}, nil, 99},
		"delete":            {[]int64{5, end}, []int64{5, 0, idle, 0, 0, 0, 0, 0}, []int64{0, 1, 5, 5, -2}, nil, 99},
		"of an ended one":   {[]int64{5, now / 1e6}, []int64{3, 0, idle, 7, 0, 100, 0, 0}, []int64{0, 0, 0, 7, -1}, []int64{7, 0}, now + idle},
		"more is said":      {nil, []int64{2, 0, idle, 7, 0, 0, 1, 0, 1, 2, 3}, []int64{0, 0, 0, 7, -1}, []int64{7, 0}, now + idle},
		"too little is":     {[]int64{5, 0}, []int64{2, 0, idle, 7, 0, 0, 1}, []int64{5, 0, 0, 0, 0}, []int64{5, 0}, 99},
		"a newer operation": {[]int64{5, 0}, []int64{6, 0, idle, 7, 0, 0, 1, 0}, []int64{5, 0, 0, 0, 0}, []int64{5, 0}, 99},
		"a newer flag":      {[]int64{5, 0}, []int64{2, 256, idle, 7, 0, 0, 1, 0}, []int64{5, 0, 0, 0, 0}, []int64{5, 0}, 99},
		"a newer expiry":    {[]int64{5, 0}, []int64{2, 0, idle, 7, 0, 0, 6, 0}, []int64{5, 0, 0, 0, 0}, []int64{5, 0}, 99},
	} {
		t.Run(name, func(t *testing.T) {
			r := bucketring.Register{Numbers: tt.numbers, Now: now}
			if tt.numbers != nil {
				r.Until = 99
			}
			answer := resp.CounterStep(&r, tt.args)
			if diff := cmp.Diff(tt.answer, answer); diff != "" {
				t.Errorf("answer (-want +got)\n%s", diff)
			}
			if diff := cmp.Diff(bucketring.Register{Numbers: tt.after, Until: tt.until, Now: now}, r); diff != "" {
				t.Errorf("register (-want +got)\n%s", diff)
			}
		})
	}
}

// FuzzCounterStep has any node send anything, to any register.
func FuzzCounterStep(f *testing.F) {
	pack := func(all ...int64) (b []byte) {
		for _, n := range all {
			b = binary.BigEndian.AppendUint64(b, uint64(n))
		}
		return b
	}
	f.Add(int64(2e18), pack(5, 0), pack(3, 64, 9, math.MaxInt64, -5, 9, 2, 5))
	f.Add(int64(2e18), pack(math.MinInt64, math.MaxInt64), pack(3, 68, 9, math.MaxInt64, 0, math.MaxInt64, 3, 1))
	f.Add(int64(2e18), pack(5, 2e12+7), pack(4, 36, 0, 0, 0, 0, 2, math.MinInt64))
	f.Add(int64(-1), pack(), pack(2, 3, math.MaxInt64, 1, 0, 0, 5, math.MaxInt64))
	f.Add(int64(0), pack(1), pack(7))
	f.Fuzz(func(t *testing.T, now int64, numbers, args []byte) {
		unpack := func(b []byte) (all []int64) {
			for ; len(b) >= 8 && len(all) < bucketring.MaxNumbers; b = b[8:] {
				all = append(all, int64(binary.BigEndian.Uint64(b)))
			}
			return all
		}
		was, told := unpack(numbers), unpack(args)
		r := bucketring.Register{Numbers: slices.Clone(was), Now: now}
		a := resp.CounterStep(&r, slices.Clone(told))
		if len(a) != 5 || len(r.Numbers) > bucketring.MaxNumbers || r.Now != now {
			t.Fatalf("answer %v, register %+v", a, r)
		}
		there := len(was) >= 2 && (was[1] == 0 || was[1] > max(now, 0)/1e6)
		if a[0] == 5 || told[0] == 0 {
			if !slices.Equal(r.Numbers, was) {
				t.Fatalf("%v has made %v of %v, and should only have looked", told, r.Numbers, was)
			}
			return
		}
		exists := len(r.Numbers) == 2
		if exists != (a[4] != -2) || there != (a[1] == 1) || there && a[2] != was[0] || exists && r.Numbers[0] != a[3] {
			t.Fatalf("%v of %v answers %v, and leaves %v", told, was, a, r.Numbers)
		}
		if exists && r.Until < min(now, math.MaxInt64) {
			t.Fatalf("the register is good until %d, before %d", r.Until, now)
		}
		if a[0] != 0 && (exists != there || exists && !slices.Equal(r.Numbers, was[:2])) {
			t.Fatalf("outcome %d has made %v of %v", a[0], r.Numbers, was)
		}
		flags, low, high := told[1], told[4], told[5]
		if told[0] == 3 && a[0] == 0 && low <= high && (a[3] < low || a[3] > high) {
			t.Fatalf("%v has made %d of %v, beyond a bound", told, a[3], was)
		}
		if flags&1 != 0 && !there && exists || told[0] == 2 && flags&2 != 0 && there && a[0] == 0 {
			t.Fatalf("%v answers %v for %v against its condition", told, a, was)
		}
		if (told[0] == 3 || told[0] == 4) && flags&4 != 0 && there && was[1] != 0 && (!exists || r.Numbers[1] != was[1]) {
			t.Fatalf("%v has taken the expiry of %v, and left %v", told, was, r.Numbers)
		}
	})
}
