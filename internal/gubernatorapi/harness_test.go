package gubernatorapi_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/internal/gubernatorapi"
	"github.com/bucketring/bucketring/internal/gubernatorapi/pb"
)

// A world is what nodes share: the registers, and who owns which.
type world struct {
	mu        sync.Mutex
	registers map[string]bucketring.Register // by key
	owner     func(key string) string        // nil: whoever is asked
	fail      func(key string) error         // nil: nothing fails
}

// A fake is one node of a world.
type fake struct {
	*world
	name string
}

func newWorld() *world { return &world{registers: map[string]bucketring.Register{}} }

func (f *fake) Take(ctx context.Context, req bucketring.Request) (bucketring.Decision, error) {
	d := bucketring.Decision{Allowed: true, Node: f.name, Owner: f.name}
	if err := req.Validate(); err != nil {
		return d, err
	}
	if err := ctx.Err(); err != nil {
		return d, err
	}
	if f.fail != nil {
		if err := f.fail(req.Key); err != nil {
			return d, err
		}
	}
	if f.owner != nil {
		d.Owner = f.owner(req.Key)
	}
	if req.Limits[0].ID != gubernatorapi.StepID {
		return d, fmt.Errorf("the step %#x is unknown", req.Limits[0].ID)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	r := f.registers[req.Key]
	if r.Now = max(time.Now().UnixNano(), r.Now); r.Until <= r.Now {
		r.Numbers, r.Until = nil, 0
	}
	d.Values = gubernatorapi.Step(&r, req.Args)
	f.registers[req.Key] = r
	return d, nil
}

// immediate is a fake that decides its own keys at once.
type immediate struct{ *fake }

func (i immediate) Now() int64 { return time.Now().UnixNano() }

func (i immediate) TakeNow(_ int64, req *bucketring.Request, d *bucketring.Decision) bool {
	if i.owner != nil && i.owner(req.Key) != i.name || i.fail != nil && i.fail(req.Key) != nil {
		return false
	}
	*d, _ = i.Take(context.Background(), *req)
	return true
}

// server returns a server of one node; the Limiter of cfg is set if it is nil.
func server(cfg gubernatorapi.Config) *gubernatorapi.Server {
	if cfg.Limiter == nil {
		cfg.Limiter = &fake{newWorld(), "a"}
	}
	return gubernatorapi.New(cfg)
}

// standard is the configuration that most tests have.
func standard() gubernatorapi.Config {
	return gubernatorapi.Config{MaxClockSkew: gubernatorapi.DefaultMaxClockSkew}
}

// an item of 1 hit on 10 per minute.
func item(key string) *pb.RateLimitReq {
	return &pb.RateLimitReq{Name: "n", UniqueKey: key, Hits: 1, Limit: 10, Duration: 60_000}
}

func ask(t *testing.T, s *gubernatorapi.Server, items ...*pb.RateLimitReq) []*pb.RateLimitResp {
	t.Helper()
	resp, err := s.GetRateLimits(t.Context(), &pb.GetRateLimitsReq{Requests: items})
	if err != nil || len(resp.GetResponses()) != len(items) {
		t.Fatalf("GetRateLimits = %v, %v, want %d responses", resp, err, len(items))
	}
	return resp.GetResponses()
}

// A script is lines of
//
//	request | reference | ours | deviation
//
// where the last two are absent if ours is the same. The request is words: a number of
// hits, LEAKY, DRAIN, RESET, GLOBAL, GREGORIAN, limit=, burst=, duration= (60s, or a code),
// key=, created=+1s (from now) and @20s (the time, from the start of the script). An answer is U or O, and what remains; then perhaps
// reset_time: as ms from now, or with = in front as it is.
func runScript(t *testing.T, cfg gubernatorapi.Config, script string) {
	t.Helper()
	runScriptAt(t, cfg, time.Time{}, script)
}

// runScriptAt begins the script at a time, unless that is zero.
func runScriptAt(t *testing.T, cfg gubernatorapi.Config, at time.Time, script string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		if !at.IsZero() {
			time.Sleep(time.Until(at))
		}
		s, start := server(cfg), time.Now()
		for line := range strings.Lines(script) {
			request, want, ok := readLine(t, line)
			if !ok {
				continue
			}
			got := ask(t, s, words(t, request, start))[0]
			if text := show(got, strings.Fields(want)); text != want {
				t.Errorf("%s = %s (%v), want %s", request, text, got, want)
			}
		}
	})
}

// readLine returns a request and what we answer. It is not ok if the line has none.
func readLine(t *testing.T, line string) (request, want string, ok bool) {
	t.Helper()
	columns := strings.Split(strings.TrimSpace(line), "|")
	if len(columns) < 2 {
		return "", "", false
	}
	for i := range columns {
		columns[i] = strings.TrimSpace(columns[i])
	}
	request, want = columns[0], columns[1]
	if len(columns) == 2 {
		return request, want, true
	}
	if want = columns[2]; want == columns[1] || len(columns) != 4 || columns[3] == "" {
		t.Fatalf("%s: ours is to differ from the reference, with the number of a deviation", line)
	}
	return request, want, true
}

// words reads a request, and waits until its time has come.
func words(t *testing.T, text string, start time.Time) *pb.RateLimitReq {
	t.Helper()
	r := item("k")
	for word := range strings.FieldsSeq(text) {
		name, value, _ := strings.Cut(word, "=")
		number, numberErr := strconv.ParseInt(value, 10, 64)
		length, _ := time.ParseDuration(value)
		switch name {
		case "LEAKY":
			r.Algorithm = pb.Algorithm_LEAKY_BUCKET
		case "DRAIN":
			r.Behavior |= pb.Behavior_DRAIN_OVER_LIMIT
		case "RESET":
			r.Behavior |= pb.Behavior_RESET_REMAINING
		case "GLOBAL":
			r.Behavior |= pb.Behavior_GLOBAL
		case "GREGORIAN":
			r.Behavior |= pb.Behavior_DURATION_IS_GREGORIAN
		case "limit":
			r.Limit = number
		case "burst":
			r.Burst = number
		case "duration":
			if r.Duration = number; numberErr != nil {
				r.Duration = length.Milliseconds()
			}
		case "key":
			r.UniqueKey = value
		case "created":
			at := time.Now().Add(length).UnixMilli()
			r.CreatedAt = &at
		default:
			var err error
			if moment, found := strings.CutPrefix(word, "@"); found {
				length, err = time.ParseDuration(moment)
				time.Sleep(length - time.Since(start))
			} else {
				r.Hits, err = strconv.ParseInt(word, 10, 64)
			}
			if err != nil {
				t.Fatalf("%q: %v", word, err)
			}
		}
	}
	return r
}

// show writes an answer as scripts do, with as many words as are wanted.
func show(r *pb.RateLimitResp, like []string) string {
	if r.GetError() != "" {
		return r.GetError()
	}
	text := r.GetStatus().String()[:1] + strconv.FormatInt(r.GetRemaining(), 10)
	switch {
	case len(like) < 2:
		return text
	case strings.HasPrefix(like[1], "="):
		return text + " =" + strconv.FormatInt(r.GetResetTime(), 10)
	}
	return text + " " + strconv.FormatInt(r.GetResetTime()-time.Now().UnixMilli(), 10)
}
