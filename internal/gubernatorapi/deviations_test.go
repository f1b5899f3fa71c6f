package gubernatorapi_test

import (
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/internal/gubernatorapi"
	"github.com/bucketring/bucketring/internal/gubernatorapi/pb"
)

// Each test here is named for a deviation from Gubernator in docs/migrate-gubernator.md.
// Scripts show its answer beside ours; the comments say what it does elsewhere.

func TestD1StoredOverLimitEnds(t *testing.T) {
	runScript(t, standard(), `
		10         | U0
		1          | O0
		0          | O0
		0 limit=11 | O1 | U1 | D1
		1 limit=11 | O0 | U0 | D1
		1 limit=11 | O0
		-2 limit=11 | O2 | U2 | D1
		2 limit=11 | O0 | U0 | D1
		0 limit=11 | O0 | U0 | D1
		10 key=b        | U0
		1 key=b         | O0
		-1 key=b        | O1 | U1 | D1
		0 limit=7 key=b | O0 | U0 | D1`)
}

func TestD2RenewedWindowAnswersForItself(t *testing.T) {
	runScript(t, standard(), `
		7                         | U3 60000
		10 key=b                  | U0 60000
		@20s 0 duration=10s       | U3 10000 | U10 10000 | D2
		4 duration=10s            | U6 10000
		4 key=b duration=10s      | O0 10000 | U6 10000 | D2
		4 key=b duration=10s      | O6 10000 | U2 10000 | D1 D2`)
}

func TestD3DrainOnFirstRequest(t *testing.T) {
	runScript(t, standard(), `
		11 DRAIN | O10 | O0 | D3
		1        | U9 | O0 | D3
		11 LEAKY DRAIN key=l | O0
		1 LEAKY key=l | O0`)
}

func TestD4FractionIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, r := server(standard()), item("k")
		r.Algorithm, r.Hits, r.Duration = pb.Algorithm_LEAKY_BUCKET, 10, 10_000
		ask(t, s, r)
		r.Hits = 1
		admitted := 0
		for range 200 {
			time.Sleep(990 * time.Millisecond)
			if ask(t, s, r)[0].Status == pb.Status_UNDER_LIMIT {
				admitted++
			}
		}
		if admitted != 198 { // the reference admits 100
			t.Errorf("200 hits, one in 990 ms, at a token a second: %d are admitted, want 198", admitted)
		}
	})
}

func TestD5ResetIsExact(t *testing.T) {
	runScript(t, standard(), `
		1 LEAKY limit=7 duration=1s          | U6 142 | U6 143 | D5
		0 LEAKY limit=7 burst=9 duration=1s  | U9 -284 | U9 -285 | D5
		2 LEAKY limit=0 burst=5 key=zero     | U3 -9223372036854775808 | U3 0 | D5
		1 LEAKY limit=1 duration=9223372036854775807 key=far | U0 -9223372036854775808 | U0 =9223372036854775807 | D5
		0 LEAKY limit=3 duration=10s key=odd | U3 0
		2 LEAKY limit=3 duration=10s key=odd | U1 6666 | U1 6667 | D5`)
}

// In the reference a first leaky call is full now, weeks are an error, and leaky months and
// years last for ages.
func TestD6GregorianIntervals(t *testing.T) {
	at := time.Date(2027, 2, 10, 10, 20, 30, 0, time.UTC) // a Wednesday
	for code, c := range []struct {
		name         string
		end          time.Time
		length       time.Duration
		first, token string // of the reference; token and leaky are empty if they are ours
		leaky        string
	}{
		{"minute", time.Date(2027, 2, 10, 10, 21, 0, 0, time.UTC), time.Minute, "U9 0", "", ""},
		{"hour", time.Date(2027, 2, 10, 11, 0, 0, 0, time.UTC), time.Hour, "U9 0", "", ""},
		{"day", time.Date(2027, 2, 11, 0, 0, 0, 0, time.UTC), 24 * time.Hour, "U9 0", "", ""},
		{"week", time.Date(2027, 2, 15, 0, 0, 0, 0, time.UTC), 7 * 24 * time.Hour, "error", "error", "error"},
		{"month", time.Date(2027, 3, 1, 0, 0, 0, 0, time.UTC), 28 * 24 * time.Hour, "U9 0", "", "U0 1803857398560000000"},
		{"year", time.Date(2028, 1, 1, 0, 0, 0, 0, time.UTC), 365 * 24 * time.Hour, "U9 0", "", "U0 1830295801238400000"},
	} {
		beside := func(reference, ours string) string {
			if reference == "" {
				return ours
			}
			return reference + " | " + ours + " | D6"
		}
		token := beside(c.token, fmt.Sprintf("U9 =%d", c.end.UnixMilli()-1))
		leaky := beside(c.leaky, fmt.Sprintf("U0 %d", c.length.Milliseconds()))
		t.Run(c.name, func(t *testing.T) {
			runScriptAt(t, standard(), at, fmt.Sprintf(`
				1 GREGORIAN duration=%[1]d             | %[2]s
				1 LEAKY GREGORIAN duration=%[1]d key=l | %[3]s | U9 %[4]d | D6
				9 LEAKY GREGORIAN duration=%[1]d key=l | %[5]s`,
				code, token, c.first, c.length.Milliseconds()/10, leaky))
		})
	}
}

// The reference counts days in the zone that its process happens to have.
func TestD7ZoneIsConfigured(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Skip(err)
	}
	cfg := standard()
	cfg.Zone = berlin
	day := fmt.Sprintf("1 GREGORIAN duration=2 | U9 %d", (23*time.Hour - 1*time.Millisecond).Milliseconds())
	runScriptAt(t, cfg, time.Date(2027, 3, 28, 0, 0, 0, 0, berlin), day)
	day = fmt.Sprintf("1 GREGORIAN duration=2 | U9 %d", (25*time.Hour - 1*time.Millisecond).Milliseconds())
	runScriptAt(t, cfg, time.Date(2027, 10, 31, 0, 0, 0, 0, berlin), day)
	day = fmt.Sprintf("1 GREGORIAN duration=2 | U9 %d", (24*time.Hour - 1*time.Millisecond).Milliseconds())
	runScriptAt(t, standard(), time.Date(2027, 3, 28, 0, 0, 0, 0, time.UTC), day)
}

func TestD8GregorianRenewalEndsWithTheInterval(t *testing.T) {
	runScriptAt(t, standard(), time.Date(2027, 1, 1, 12, 0, 30, 0, time.UTC), `
		4                                       | U6 60000
		1 GREGORIAN duration=0                  | U5 29999
		@29.500s 1 GREGORIAN duration=1         | U4 3540499
		1 GREGORIAN duration=0 created=500ms    | U9 500 | U9 499 | D8`)
}

func TestD9CreatedAtIsClamped(t *testing.T) {
	runScript(t, standard(), `
		1 created=-1h         | U9 -3540000 | U9 59000 | D9
		1 key=b created=1h    | U9 3660000 | U9 61000 | D9
		1 key=c created=500ms | U9 60500
		10 key=d LEAKY duration=10s             | U0 10000
		1 key=d LEAKY duration=10s created=100s | U9 101000 | U0 11000 | D9
		0 key=d LEAKY duration=10s created=100s | U9 101000 | U0 11000 | D9
		0 key=d LEAKY duration=10s created=-50s | U9 -49000 | U0 11000 | D9
		0 key=d LEAKY duration=10s              | U9 1000 | U0 11000 | D9
		@1.9s 0 key=d LEAKY duration=10s        | U9 1000 | U0 10000 | D9
		@2.0s 1 key=d LEAKY duration=10s        | U8 2000 | U0 10000 | D9`)
}

func TestD9SkewIsConfigured(t *testing.T) {
	runScript(t, gubernatorapi.Config{}, `
		1 created=-1h | U9 -3540000 | U9 60000 | D9
		1 created=1h  | U9 3660000 | U8 60000 | D9`)
	runScript(t, gubernatorapi.Config{MaxClockSkew: -1}, `
		1 created=1h       | U9 3660000
		1 created=-1h      | U8 3660000
		1 key=b created=-1h | U9 -3540000
		1 key=b created=-1h | U9 -3540000`)
}

// In the reference whoever says that it is earlier gets windows that are over sooner.
func TestD9WindowsDoNotOverlap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, algorithm := range []pb.Algorithm{pb.Algorithm_TOKEN_BUCKET, pb.Algorithm_LEAKY_BUCKET} {
			s, r, admitted := server(standard()), item("k"), 0
			r.Algorithm, r.Duration = algorithm, 500
			for range 10_000 {
				early := time.Now().UnixMilli() - 499
				r.CreatedAt = &early
				if ask(t, s, r)[0].GetStatus() == pb.Status_UNDER_LIMIT {
					admitted++
				}
				time.Sleep(time.Millisecond)
			}
			if most := 10 * (20 + 4); admitted > most {
				t.Errorf("%v: %d hits in 10 s, want at most %d: 10 in 500 ms, and what a second is worth", algorithm, admitted, most)
			}
		}
	})
}

func TestD10ArithmeticSaturates(t *testing.T) {
	runScript(t, standard(), `
		-9223372036854775808   | U-9223372036854775798 | U9223372036854775807 | D10
		-9223372036854775808   | U10 | U9223372036854775807 | D10
		9223372036854775807    | O10 | U0 | D10
		1 key=l LEAKY limit=-5 | O0 60000 | O0 0 | D10
		0 key=m limit=-5       | U-5 | U0 | D10
		1 key=o duration=-5s   | U9 -5000 | U9 0 | D10
		1 key=o duration=-5s   | U9 -5000 | U9 0 | D10
		1 key=p duration=9223372036854775807 | U9 =-9223371090169975809 | U9 =9223372036854775807 | D10
		1 key=p duration=1s    | U9 1000 | U8 1000 | D10
		-9223372036854775808 key=q LEAKY | U-9223372036854775798 | U9223372036854775807 | D10
		1 key=r LEAKY burst=-1 | O0 | U9 | D10
		@1h 10 key=q LEAKY     | U0
		1 key=q LEAKY          | O0`)
}

// TestD10LongAgo has a time so early that its ns are no int64: nothing is kept for it.
func TestD10LongAgo(t *testing.T) {
	for _, early := range []int64{math.MinInt64, -9_300_000_000_000, -1} {
		w := newWorld()
		s, r := server(gubernatorapi.Config{Limiter: &fake{w, "a"}, MaxClockSkew: -1}), item("k")
		r.CreatedAt = &early
		if got := ask(t, s, r)[0]; got.GetRemaining() != 9 {
			t.Errorf("at %d: %v, want 9 left", early, got)
		}
		for _, kept := range w.registers {
			if kept.Numbers != nil || kept.Until != 0 {
				t.Errorf("at %d: %+v is kept, want nothing", early, kept)
			}
		}
	}
}

// In the reference both are the counter a_b_c, and share its hits.
func TestD11NameAndKeyAreApart(t *testing.T) {
	s := server(standard())
	pairs := [][2]string{{"a", "b_c"}, {"a_b", "c"}, {"a", "b"}, {"ab", "c"}, {"a", "bc"}, {"\x01a", "b"}, {"\x00", "b"}}
	long := strings.Repeat("x", 510)
	for i := 1; i <= 4; i++ { // too long to be preceded by their lengths
		pairs = append(pairs, [2]string{"y" + long[:i*100], long[i*100:] + "z"})
	}
	for i, p := range pairs {
		r := item(p[1])
		r.Name = p[0]
		if got := ask(t, s, r)[0]; got.GetRemaining() != 9 || got.GetError() != "" {
			t.Errorf("pair %d has %v, want a counter of its own", i, got)
		}
	}
	for i, p := range pairs {
		r := item(p[1])
		r.Name = p[0]
		if got := ask(t, s, r)[0].GetRemaining(); got != 8 {
			t.Errorf("pair %d has %d left, want its counter again", i, got)
		}
	}
	r := item("b_c")
	r.Name, r.Algorithm = "a", 7
	if got := ask(t, s, r)[0].GetError(); !strings.Contains(got, "'a_b_c'") {
		t.Errorf("error %q does not name a_b_c", got)
	}
}

// The reference bounds nothing but the message.
func TestD12LengthOfKeys(t *testing.T) {
	for most, cfg := range map[int]gubernatorapi.Config{512: {}, 20: {MaxKeyLen: 20}, 2000: {MaxKeyLen: 2000}} {
		long, most1 := item(strings.Repeat("k", most)), item(strings.Repeat("k", most-1))
		got := ask(t, server(cfg), item("k"), long, most1)
		want := fmt.Sprintf("name and unique_key have %d bytes together, at most %d are allowed: send a hash of the key", most+1, most)
		if got[0].GetRemaining() != 9 || got[2].GetRemaining() != 9 || got[1].GetError() != want {
			t.Errorf("with at most %d bytes: %v, want only the error %q", most, got, want)
		}
	}
}

// In the reference equal keys of one call come in any order where another node owns them.
func TestD13OrderOfEqualKeys(t *testing.T) {
	w := newWorld()
	w.owner = func(string) string { return "b" }
	w.fail = func(key string) error {
		if strings.HasSuffix(key, "bad") {
			return fmt.Errorf("%w: no answer", bucketring.ErrUnavailable)
		}
		return nil
	}
	for name, limiter := range map[string]bucketring.Limiter{"elsewhere": &fake{w, "a"}, "here": immediate{&fake{w, "b"}}} {
		cfg := standard()
		cfg.Limiter = limiter
		var items []*pb.RateLimitReq
		for i := range 1000 {
			r := item(fmt.Sprintf("%s%d", name, i%99))
			if i%99 == 98 {
				r.UniqueKey = "bad"
			}
			r.Limit, r.Hits = 1000, 1
			items = append(items, r)
		}
		for i, got := range ask(t, server(cfg), items...) {
			want := int64(1000 - 1 - i/99)
			if i%99 == 98 {
				if want = 0; got.GetError() != "while fetching rate limit 'n_bad' from peer: bucketring: unavailable: no answer" {
					t.Errorf("%s: item %d = %v, want an error", name, i, got)
				}
			}
			if got.GetRemaining() != want {
				t.Errorf("%s: item %d has %d left, want %d", name, i, got.GetRemaining(), want)
			}
		}
	}
}

// The reference ignores MULTI_REGION silently.
func TestD14MultiRegion(t *testing.T) {
	r := item("k")
	r.Behavior = pb.Behavior_MULTI_REGION | pb.Behavior_GLOBAL
	if got := ask(t, server(gubernatorapi.Config{}), r)[0]; !strings.Contains(got.GetError(), "MULTI_REGION") || got.GetRemaining() != 0 {
		t.Errorf("MULTI_REGION = %v, want it refused", got)
	}
	if got := ask(t, server(gubernatorapi.Config{IgnoreMultiRegion: true}), r)[0]; got.GetRemaining() != 9 {
		t.Errorf("MULTI_REGION = %v, want it ignored", got)
	}
}

// The reference admits 300: each node counts for itself at first.
func TestD15GlobalIsExact(t *testing.T) {
	w, admitted := newWorld(), make(chan int64, 300)
	w.owner = func(string) string { return "b" }
	var group sync.WaitGroup
	for _, name := range []string{"a", "b", "c"} {
		cfg := standard()
		cfg.Limiter = &fake{w, name}
		s, r := server(cfg), item("k")
		r.Behavior, r.Limit = pb.Behavior_GLOBAL, 100
		group.Go(func() {
			for range 100 {
				if ask(t, s, r)[0].GetStatus() == pb.Status_UNDER_LIMIT {
					admitted <- 1
				}
			}
		})
	}
	group.Wait()
	if len(admitted) != 100 {
		t.Errorf("3 nodes have admitted %d of 300 hits, want 100", len(admitted))
	}
}

// In the reference these wait for the next exchange, and burst is lost on its way.
func TestD16GlobalGoesToTheOwnerAtOnce(t *testing.T) {
	runScript(t, standard(), `
		10 GLOBAL                 | U0
		0 GLOBAL                  | U0
		1 GLOBAL                  | O0
		1 GLOBAL RESET            | U10 =0
		0 GLOBAL                  | U10
		5 GLOBAL LEAKY burst=20 key=l | U15
		0 LEAKY burst=20 key=l    | U15`)
}

// In the reference metadata never has more than the owner.
func TestD20RetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := standard()
		cfg.RetryAfter = true
		w := newWorld()
		cfg.Limiter = &fake{w, "a"}
		s := server(cfg)
		for _, c := range []struct{ text, want string }{
			{"3", ""}, {"8", "60001"}, {"11", ""}, {"7", ""}, {"0", ""}, {"1", "60001"}, {"0", "60001"}, {"11", ""},
			{"1 limit=0 key=z", ""},
			{"6 LEAKY key=l", ""}, {"6 LEAKY key=l", "12000"}, {"11 LEAKY key=l", ""}, {"5 LEAKY key=l DRAIN", "30000"},
			{"3 LEAKY key=l DRAIN", "18000"}, {"20 LEAKY burst=20 key=b", ""}, {"20 LEAKY burst=20 key=b", "60001"}, {"1 LEAKY limit=0 key=y", ""},
			{"7 LEAKY limit=7 duration=1s key=m", ""}, {"1 LEAKY limit=7 duration=1s key=m", "143"},
			{"7 LEAKY limit=7 duration=1s key=m", "1000"},
		} {
			r := words(t, c.text, time.Now())
			got := ask(t, s, r)[0]
			if said := got.GetMetadata()["retry_after_ms"]; said != c.want {
				t.Errorf("%s: retry after %q ms, want %q (%v)", c.text, said, c.want, got)
			}
		}
		r := words(t, "7 LEAKY limit=7 duration=1s key=m", time.Now())
		for _, wait := range []time.Duration{999, 1} { // what is said is enough, and no more than that
			time.Sleep(wait * time.Millisecond)
			if got, want := ask(t, s, r)[0].GetStatus() == pb.Status_UNDER_LIMIT, wait == 1; got != want {
				t.Errorf("after %v more it passes: %v, want %v", wait*time.Millisecond, got, want)
			}
		}
		w.owner = func(string) string { return "b" }
		got := ask(t, s, item("z"), &pb.RateLimitReq{Name: "n", UniqueKey: "k", Hits: 1, Limit: 10, Duration: 60_000})
		want := []map[string]string{{"owner": "b"}, {"owner": "b", "retry_after_ms": "59001"}}
		for i := range got {
			if diff := cmp.Diff(want[i], got[i].GetMetadata()); diff != "" {
				t.Errorf("metadata of item %d (-want +got)\n%s", i, diff)
			}
		}
	})
}
