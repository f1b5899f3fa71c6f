package envoyrls_test

import (
	"fmt"
	"hash/fnv"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/internal/envoyrls"
	"github.com/bucketring/bucketring/policy"
)

const largest = math.MaxInt64

// TestStep: what each change makes of a counter, answers with, and how long it lasts.
func TestStep(t *testing.T) {
	const now, start = 3_600_100, 3_600_000 // seconds
	const hour, idle, any, all = 3600, 0, 0, -1
	end := int64(start+hour) * int64(time.Second)
	tests := []struct {
		name              string
		used              int64 // -1 for no register
		hits, window      int64
		idle, most, start int64
		want              []int64 // before, after
		until             int64   // 0 if the register does not change
	}{
		{"first hit", -1, 1, hour, idle, all, any, []int64{0, 1}, end},
		{"beyond any limit", 10, 5, hour, idle, all, any, []int64{10, 15}, end},
		{"look", 3, 0, hour, idle, all, any, []int64{3, 3}, 0},
		{"look at nothing", -1, 0, hour, idle, all, any, []int64{0, 0}, 0},
		{"give back", 3, -2, hour, idle, all, any, []int64{3, 1}, end},
		{"give back more", 3, -5, hour, idle, all, any, []int64{3, 0}, end},
		{"give back to nothing", -1, -5, hour, idle, all, any, []int64{0, 0}, 0},
		{"fits exactly", 3, 2, hour, idle, 5, any, []int64{3, 5}, end},
		{"does not fit", 3, 3, hour, idle, 5, any, []int64{3, 3}, 0},
		{"nothing fits", -1, 1, hour, idle, 0, any, []int64{0, 0}, 0},
		{"give back whatever fits", 9, -1, hour, idle, 5, any, []int64{9, 8}, end},
		{"give back in its window", 3, -1, hour, idle, all, start, []int64{3, 2}, end},
		{"give back in another window", 3, -1, hour, idle, all, start - hour, []int64{3, 3}, 0},
		{"no overflow", largest - 1, largest, hour, idle, all, any, []int64{largest - 1, largest}, end},
		{"no overflow of what fits", largest - 1, 5, hour, idle, largest, any, []int64{largest - 1, largest}, end},
		{"idle", 1, 1, hour, 60, all, any, []int64{1, 2}, (now + 60) * int64(time.Second)},
		{"idle beyond the window", 1, 1, hour, 4000, all, any, []int64{1, 2}, end},
		{"idle without end", 1, 1, hour, largest, all, any, []int64{1, 2}, end},
		{"another window", 1, 1, 7000, idle, all, any, []int64{0, 1}, 3_605_000 * int64(time.Second)},
		{"a window without end", -1, 1, largest / 2, idle, all, any, []int64{0, 1}, largest},
	}
	for _, tt := range tests {
		r := &bucketring.Register{Now: now * int64(time.Second)}
		if tt.used >= 0 {
			r.Numbers, r.Until = []int64{start, tt.used}, end
		}
		before, was := slices.Clone(r.Numbers), r.Until
		got := envoyrls.RunStep(r, tt.hits, tt.window, tt.idle, tt.most, tt.start)
		begin := int64(now) - now%tt.window
		if want := []int64{tt.want[0], tt.want[1], begin + tt.window - now, begin}; !slices.Equal(got, want) {
			t.Errorf("%s: answer = %v, want %v", tt.name, got, want)
		}
		switch {
		case tt.until == 0 && (!slices.Equal(r.Numbers, before) || r.Until != was):
			t.Errorf("%s: the register is %+v now, want it as it was", tt.name, r)
		case tt.until != 0 && (!slices.Equal(r.Numbers, []int64{begin, tt.want[1]}) || r.Until != tt.until):
			t.Errorf("%s: the register is %+v, want %d until %d", tt.name, r, tt.want[1], tt.until)
		}
	}
}

// TestStepForgets: a register that is over counts no more, also within its window.
func TestStepForgets(t *testing.T) {
	r := &bucketring.Register{Now: 3_600_100 * int64(time.Second), Numbers: []int64{3_600_000, 5}, Until: 3_600_100 * int64(time.Second)}
	if got := envoyrls.RunStep(r, 1, 3600, 60, -1, 0); got[0] != 0 || got[1] != 1 {
		t.Errorf("step on a register that is over = %v, want a fresh counter", got)
	}
}

// TestStepOfOtherVersions: arguments that nobody sends today do no harm.
func TestStepOfOtherVersions(t *testing.T) {
	for _, args := range [][]int64{nil, {1}, {1, 0, 0, 0, 0}, {1, -5, 0, 0, 0}, {1, 60, 0, 0, 0, 0}} {
		r := &bucketring.Register{Now: 1e18}
		if got := envoyrls.Step(r, args); got != nil || r.Numbers != nil {
			t.Errorf("step with %v = %v and %v, want nothing", args, got, r.Numbers)
		}
	}
	r := &bucketring.Register{Now: 1e18, Numbers: []int64{1, 2, 3}, Until: 2e18}
	if got := envoyrls.Step(r, []int64{1, 60, 0, -1, 0}); got[1] != 1 {
		t.Errorf("step on foreign numbers = %v, want a fresh counter", got)
	}
}

// TestStepIDIsFrozen: nodes of different versions name counters by it.
func TestStepIDIsFrozen(t *testing.T) {
	h := fnv.New64a()
	h.Write([]byte("_envoy ratelimit"))
	if got := uint64(envoyrls.StepID); got != h.Sum64() {
		t.Errorf("StepID = %x, want %x", got, h.Sum64())
	}
	entries := []policy.Entry{{Key: "a", Value: "b"}}
	if got, want := fmt.Sprintf("%x", envoyrls.Key("d", entries, policy.UnitHour, 0)), "01640301016100"+"0162"; got != want {
		t.Errorf("key = %s, want %s as ever: nodes of different versions name counters by it", got, want)
	}
}

// TestKeys: different counters have different keys, of at most 512 bytes.
func TestKeys(t *testing.T) {
	long, longer := string(make([]byte, 513)), string(make([]byte, 514))
	e := func(parts ...string) (all []policy.Entry) {
		for i := 0; i < len(parts); i += 2 {
			all = append(all, policy.Entry{Key: parts[i], Value: parts[i+1]})
		}
		return all
	}
	many := e("k", long[:500], "k", long[:500])
	keys := map[string]string{}
	for _, tt := range []struct {
		domain     string
		entries    []policy.Entry
		unit       policy.Unit
		multiplier uint32
	}{
		{"d", e("parent", "x", "child", "y"), policy.UnitHour, 0}, {"d", e("parent", "x_child_y"), policy.UnitHour, 0},
		{"d", e("leaf_vip", ""), policy.UnitHour, 0}, {"d", e("leaf", "vip"), policy.UnitHour, 0}, {"d", e("leaf", "_vip"), policy.UnitHour, 0},
		{"d", e("leaf", "vip"), policy.UnitHour, 2}, {"d", e("leaf", "vip"), policy.UnitMinute, 0}, {"e", e("leaf", "vip"), policy.UnitHour, 0},
		{"d", e("a", "", "b", ""), policy.UnitHour, 0}, {"d", e("b", "", "a", ""), policy.UnitHour, 0}, {"d", e("a", ""), policy.UnitHour, 0},
		{"d", e("a", long), policy.UnitHour, 0}, {"d", e("a", longer), policy.UnitHour, 0}, {"d", e("a", long[:512]), policy.UnitHour, 0},
		{"d", many, policy.UnitHour, 0}, {"d", append(many, e("k", "")...), policy.UnitHour, 0},
	} {
		key, name := envoyrls.Key(tt.domain, tt.entries, tt.unit, tt.multiplier), fmt.Sprintf("%+.60v", tt)
		if other, ok := keys[key]; ok || len(key) > bucketring.MaxKeyLen || key == "" {
			t.Errorf("%s has the key of %q, or one of %d bytes", name, other, len(key))
		}
		keys[key] = name
	}
	if envoyrls.Key("d", e("a", "b"), policy.UnitHour, 0) != envoyrls.Key("d", e("a", "b"), policy.UnitHour, 1) {
		t.Error("a unit once is another counter than the unit")
	}
}

func TestNumbers(t *testing.T) {
	for n, want := range map[int64]uint32{-1: 0, math.MinInt64: 0, 0: 0, 1: 1, 4294967294: 4294967294, 4294967295: 4294967295, 4294967296: 4294967295, 25e9: 4294967295, largest: 4294967295} {
		if got := envoyrls.U32(n); got != want {
			t.Errorf("u32(%d) = %d, want %d", n, got, want)
		}
	}
	for n, want := range map[int64]int64{-5: 0, 0: 0, 1: 1, 315_576_000_000: 315_576_000_000, 315_576_000_001: 315_576_000_000, largest: 315_576_000_000} {
		if got := envoyrls.Seconds(n); got != want {
			t.Errorf("seconds(%d) = %d, want %d", n, got, want)
		}
	}
	for _, tt := range [][3]int64{{1, 2, 3}, {largest, 1, largest}, {1, largest, largest}, {math.MinInt64, -1, math.MinInt64}, {-1, largest, largest - 1}, {largest, largest, largest}} {
		if got := envoyrls.Plus(tt[0], tt[1]); got != tt[2] {
			t.Errorf("plus(%d, %d) = %d, want %d", tt[0], tt[1], got, tt[2])
		}
	}
	const day = 24 * time.Hour
	for per, want := range map[time.Duration]string{
		time.Second: "1 0", 30 * time.Second: "1 30", 90 * time.Second: "1 90", time.Minute: "2 0", 15 * time.Minute: "2 15", time.Hour: "3 0", 36 * time.Hour: "3 36",
		day: "4 0", 3 * day: "4 3", 7 * day: "7 0", 14 * day: "7 2", 30 * day: "5 0", 365 * day: "6 0", bucketring.Month: "5 0", bucketring.Year: "6 0", 0: "0 0",
	} {
		unit, multiplier := envoyrls.UnitOf(per)
		if got := fmt.Sprint(uint8(unit), multiplier); got != want {
			t.Errorf("unitOf(%v) = %s, want %s", per, got, want)
		}
	}
}
