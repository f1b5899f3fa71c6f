package gubernatorapi_test

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/internal/gubernatorapi"
	"github.com/bucketring/bucketring/internal/gubernatorapi/pb"
)

// FuzzStep runs a step on any register with any arguments, twice: no panic, nothing that
// the next step could not read, and an answer within its bounds.
func FuzzStep(f *testing.F) {
	seed := func(numbers ...int64) {
		b := []byte(nil)
		for _, n := range numbers {
			b = binary.BigEndian.AppendUint64(b, uint64(n))
		}
		f.Add(b)
	}
	const top, bottom = math.MaxInt64, math.MinInt64
	for _, algorithm := range []int64{0, 1} {
		seed(1e18, 2e18, 7, algorithm+1, 0, 10, 60_000, 5, 1e12, 1e12+60_000, algorithm, 0, 1, 10, 60_000, 0, 1e12, 1000)
		seed(top, top, 7, algorithm+1, top, top, top-1, top, bottom, top, algorithm, 44, bottom, top, top, top, bottom, -1)
		seed(bottom, 1, 7, algorithm+1, 1, bottom, bottom, bottom, top, bottom, algorithm, 32, top, bottom, bottom, bottom, top, 0)
		seed(0, 1, 0, algorithm, 36, top, top, 5, 1, 0, -1, bottom, -1, 0, top)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		var all []int64
		for ; len(in) >= 8; in = in[8:] {
			all = append(all, int64(binary.BigEndian.Uint64(in)))
		}
		if len(all) < 3 {
			return
		}
		r := bucketring.Register{Now: all[0] & math.MaxInt64, Until: all[1]}
		held := min(int(uint64(all[2])%8), len(all)-3)
		r.Numbers = slices.Clone(all[3 : 3+held])
		args := all[3+held:]
		for range 2 {
			values := gubernatorapi.Step(&r, args)
			if values == nil {
				return
			}
			if len(values) != 4 || values[0] < 0 || values[0] > 1 || values[1] < 0 || values[3] < -1 || values[0] == 0 && values[3] != 0 {
				t.Fatalf("answer %v to %v of %+v", values, args, r)
			}
			if (len(r.Numbers) == 0) != (r.Until == 0) || len(r.Numbers) > bucketring.MaxNumbers || len(r.Numbers) > 0 && r.Until <= r.Now {
				t.Fatalf("register %+v after %v", r, args)
			}
		}
	})
}

// FuzzAdmitted has callers hit one bucket in any way that takes and does not reset, at
// times that they may choose, and counts what is admitted.
func FuzzAdmitted(f *testing.F) {
	f.Add(uint8(0), uint16(10), uint16(1000), []byte{1, 0, 0, 9, 3, 200, 255, 9, 0, 1, 250, 40})
	f.Add(uint8(1), uint16(7), uint16(900), []byte{7, 0, 0, 1, 0, 255, 1, 255, 0, 7, 90, 128, 1, 1, 255})
	f.Add(uint8(1), uint16(1), uint16(3), []byte{1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1})
	f.Fuzz(func(t *testing.T, algorithm uint8, limit, duration uint16, calls []byte) {
		if duration == 0 {
			return
		}
		const skew, start = 1000, int64(1_000_000_000)
		clock, admitted := start, int64(0)
		windows := map[int64]int64{} // what each window has admitted, by its end
		var register bucketring.Register
		for ; len(calls) >= 3; calls = calls[3:] {
			clock += int64(calls[1])
			created := clock + (int64(calls[2])-128)*20
			r := &pb.RateLimitReq{
				Algorithm: pb.Algorithm(algorithm % 2), Hits: int64(calls[0] & 0x7f), Limit: int64(limit), Duration: int64(duration), CreatedAt: &created,
			}
			if calls[0]&0x80 != 0 {
				r.Behavior = pb.Behavior_DRAIN_OVER_LIMIT
			}
			if register.Now = clock * int64(time.Millisecond); register.Until <= register.Now {
				register.Numbers, register.Until = nil, 0
			}
			values := gubernatorapi.Step(&register, gubernatorapi.ArgsOf(r, skew, [4]int64{}))
			if values[1] > r.Limit {
				t.Fatalf("%d remain of %d", values[1], limit)
			}
			if values[0] == 0 {
				admitted += r.Hits
				windows[values[2]] += r.Hits
			}
			// Callers can be a second early and a second late, once.
			passed := clock + skew - (start - skew)
			most := int64(limit) + passed*int64(limit)/int64(duration)
			if r.Algorithm == pb.Algorithm_TOKEN_BUCKET {
				most = int64(limit) * (1 + passed/int64(duration))
			}
			if admitted > most {
				t.Fatalf("%d hits are admitted in %d ms, at most %d may be", admitted, clock-start, most)
			}
			if r.Algorithm == pb.Algorithm_TOKEN_BUCKET && windows[values[2]] > int64(limit) {
				t.Fatalf("the window until %d has admitted %d of %d", values[2], windows[values[2]], limit)
			}
		}
	})
}

// FuzzJSON sends any body and demands one answer that is JSON.
func FuzzJSON(f *testing.F) {
	for _, c := range goldenJSON {
		f.Add(c.body)
	}
	for _, c := range httpErrors {
		if len(c.body) < 200 {
			f.Add(c.body)
		}
	}
	f.Add(`{"requests":[{"name":"n","unique_key":"k","hits":-9223372036854775808,"limit":"9223372036854775807","duration":5,"behavior":-1,"algorithm":1,"created_at":1}]}`)
	cfg := standard()
	cfg.Limiter = immediate{&fake{newWorld(), "a"}}
	cfg.IgnoreMultiRegion, cfg.RetryAfter = true, true
	s := server(cfg)
	f.Fuzz(func(t *testing.T, body string) {
		got := call(s, "POST", rates, strings.NewReader(body))
		var answer struct {
			Code      *int
			Message   *string
			Responses []struct{ Remaining, Error *string }
		}
		if err := json.Unmarshal(got.Body.Bytes(), &answer); err != nil {
			t.Fatalf("%d %q is no JSON: %v", got.Code, got.Body, err)
		}
		switch {
		case got.Code == 200 && answer.Responses != nil && answer.Code == nil:
			for _, r := range answer.Responses {
				if r.Remaining == nil || r.Error == nil || strings.HasPrefix(*r.Remaining, "-") {
					t.Errorf("a response of %s lacks a field, or less than nothing remains", got.Body)
				}
			}
		case got.Code == 400 && answer.Code != nil && (*answer.Code == 3 || *answer.Code == 11) && answer.Message != nil:
		default:
			t.Errorf("%d %s", got.Code, got.Body)
		}
		if s.Stats().Panics != 0 {
			t.Fatal("an item has panicked")
		}
	})
}
