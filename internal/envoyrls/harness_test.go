package envoyrls_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/internal/envoyrls"
	rls "github.com/bucketring/bucketring/internal/envoyrls/rlspb"
	"github.com/bucketring/bucketring/policy"
)

// A seen is one call to a counters.
type seen struct {
	req  bucketring.Request
	left time.Duration // until the deadline of the context; 0 if it has none
}

// counters is a Limiter with registers and, for the rest, numbers that only grow. Its time
// stands still unless a test moves it.
type counters struct {
	set *policy.Set
	// fail, if not nil, says what goes wrong with a request; nil errors are no answer.
	fail func(context.Context, *bucketring.Request) error

	mu        sync.Mutex // guards what follows
	now       time.Time
	registers map[string]*bucketring.Register
	used      map[string]int64
	seen      []seen
	leases    int
}

var _ bucketring.Limiter = (*counters)(nil)

// an hour that has begun 100 s ago.
var began = time.Unix(1_700_000_000-1_700_000_000%3600+100, 500)

func newCounters() *counters {
	return &counters{now: began, registers: map[string]*bucketring.Register{}, used: map[string]int64{}}
}

func (c *counters) Take(ctx context.Context, req bucketring.Request) (d bucketring.Decision, err error) {
	s := seen{req: req}
	if end, ok := ctx.Deadline(); ok {
		s.left = time.Until(end)
	}
	c.mu.Lock()
	c.seen = append(c.seen, s)
	c.mu.Unlock()
	if c.fail != nil {
		if err := c.fail(ctx, &req); err != nil {
			return d, err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case req.Verb == bucketring.VerbStep:
		return c.stepLocked(&req)
	case req.Verb == bucketring.VerbRelease:
		c.leases -= len(req.IDs)
		return bucketring.Decision{Allowed: true}, nil
	case req.Namespace != "":
		return c.policyLocked(&req)
	}
	if err := req.Validate(); err != nil {
		return d, err
	}
	s2 := c.chargeLocked(req.Verb, &req.Limits[0], req.Key, req.Cost)
	return bucketring.Decision{Allowed: s2.Allowed, LimitState: s2, Degraded: true}, nil
}

func (c *counters) stepLocked(req *bucketring.Request) (bucketring.Decision, error) {
	if err := req.Validate(); err != nil {
		return bucketring.Decision{}, err
	}
	step := bucketring.Steps{envoyrls.StepID: envoyrls.Step}[req.Limits[0].ID]
	r := c.registers[req.Key]
	if r == nil || r.Until <= c.now.UnixNano() {
		r = &bucketring.Register{}
		c.registers[req.Key] = r
	}
	r.Now = c.now.UnixNano()
	d := bucketring.Decision{Allowed: true, Values: step(r, req.Args)}
	if len(r.Numbers) == 0 {
		delete(c.registers, req.Key)
	}
	return d, nil
}

// policyLocked decides a call with a policy.
func (c *counters) policyLocked(req *bucketring.Request) (d bucketring.Decision, err error) {
	p, err := c.set.Policy(req.Namespace)
	if err != nil {
		return d, err
	}
	call, err := p.Resolve(req, policy.Facts{Rows: c.set, Now: c.now, NewID: func() bucketring.ID { return bucketring.ID{1} }})
	if err != nil {
		return d, err
	}
	for _, really := range []bool{false, true} {
		fits := true
		for i := range call.Groups {
			g := &call.Groups[i]
			g.States = make([]bucketring.LimitState, len(g.Charges))
			for j := range g.Charges {
				verb, ch := req.Verb, &g.Charges[j]
				if !really && verb == bucketring.VerbTake {
					verb = bucketring.VerbPeek
				}
				if !really && verb == bucketring.VerbRefund {
					continue
				}
				g.States[j] = c.chargeLocked(verb, ch.Limit, fmt.Sprintf("%x %x", ch.Limit.ID, ch.Key), ch.Cost)
				fits = fits && g.States[j].Allowed
			}
		}
		if !fits || call.Denied() {
			break
		}
	}
	d = call.Answer(func() string { return "id" })
	c.leases += len(d.Leases)
	return d, nil
}

// chargeLocked is a counter that never forgets, and that is full again after 59.5 s.
func (c *counters) chargeLocked(verb bucketring.Verb, l *bucketring.Limit, key string, cost int64) bucketring.LimitState {
	key = fmt.Sprintf("%v %v %s", l.Algorithm, l.Per, key)
	s := bucketring.LimitState{Name: l.Name, Kind: l.Kind, Precision: l.Precision, Limit: l.Capacity(), Allowed: true}
	switch verb {
	case bucketring.VerbRefund:
		c.used[key] = max(0, c.used[key]-cost)
	default:
		if s.Allowed = c.used[key]+cost <= l.Capacity(); s.Allowed && verb == bucketring.VerbTake {
			c.used[key] += cost
		}
	}
	s.Used = c.used[key]
	s.Remaining = max(s.Limit-s.Used, 0)
	if l.Kind == bucketring.KindRate {
		s.ResetAfter, s.ResetAt = 59500*time.Millisecond, c.now.Unix()+60
	}
	if !s.Allowed {
		s.RetryAfter = 59500 * time.Millisecond
		if l.Kind == bucketring.KindLevel || cost > l.Capacity() {
			s.RetryAfter = bucketring.Never
		}
	}
	return s
}

// takes returns the requests so far, and forgets them.
func (c *counters) takes() []seen {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := c.seen
	c.seen = nil
	return all
}

func (c *counters) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// A door is a Server behind a real gRPC connection.
type door struct {
	*envoyrls.Server
	*counters
	t      testing.TB
	client rls.RateLimitServiceClient
}

// open serves policies until the test is over.
func open(t testing.TB, settings envoyrls.Settings, texts ...string) *door {
	t.Helper()
	set := &policy.Set{}
	for _, text := range texts {
		p, err := policy.Parse("test.yaml", []byte(text), policy.Options{})
		if err != nil {
			t.Fatal(err)
		}
		set = set.WithPolicy(p)
	}
	d := &door{counters: newCounters(), t: t}
	d.set = set
	d.Server = envoyrls.New(envoyrls.Config{Limiter: d.counters, Policies: func() *policy.Set { return d.set }, Settings: settings}).Patient()
	listener := bufconn.Listen(1 << 20)
	server := grpc.NewServer(grpc.MaxRecvMsgSize(4 << 20))
	d.Register(server)
	go func() { _ = server.Serve(listener) }()
	conn, err := grpc.NewClient("passthrough:rls", grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDefaultCallOptions(grpc.MaxCallSendMsgSize(4<<20)),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		server.Stop()
	})
	d.client = rls.NewRateLimitServiceClient(conn)
	return d
}

// ask calls with a request in JSON and must get an answer.
func (d *door) ask(text string) *rls.RateLimitResponse {
	d.t.Helper()
	resp, err := d.try(text)
	if err != nil {
		d.t.Fatalf("%s: %v", text, err)
	}
	return resp
}

// try calls with a request in JSON.
func (d *door) try(text string) (*rls.RateLimitResponse, error) {
	d.t.Helper()
	req := parseRequest(d.t, text)
	resp, err := d.client.ShouldRateLimit(context.Background(), req)
	if err == nil {
		checkComplete(d.t, req, resp)
	}
	return resp, err
}

// checkComplete holds an answer to what Envoy needs of every one.
func checkComplete(t testing.TB, req *rls.RateLimitRequest, resp *rls.RateLimitResponse) {
	t.Helper()
	if resp.GetOverallCode() == rls.RateLimitResponse_UNKNOWN {
		t.Errorf("overall code of %v is UNKNOWN", req)
	}
	if len(resp.GetStatuses()) != len(req.GetDescriptors()) {
		t.Errorf("%d statuses for %d descriptors of %v", len(resp.GetStatuses()), len(req.GetDescriptors()), req)
	}
	for _, s := range resp.GetStatuses() {
		if s.GetCode() == rls.RateLimitResponse_UNKNOWN {
			t.Errorf("a status of %v is UNKNOWN: %v", req, resp)
		}
		if s.GetDurationUntilReset() != nil && s.GetDurationUntilReset().CheckValid() != nil {
			t.Errorf("a status has the duration %v", s.GetDurationUntilReset())
		}
	}
}

// brief writes an answer in short: the overall code, then of each status its code and what
// remains of what.
func brief(resp *rls.RateLimitResponse) string {
	var text strings.Builder
	text.WriteString(short(resp.GetOverallCode()))
	for _, s := range resp.GetStatuses() {
		text.WriteString(" | " + short(s.GetCode()))
		if l := s.GetCurrentLimit(); l != nil {
			fmt.Fprintf(&text, " %d/%d", s.GetLimitRemaining(), l.GetRequestsPerUnit())
		} else if s.GetLimitRemaining() > 0 {
			fmt.Fprintf(&text, " %d", s.GetLimitRemaining())
		}
	}
	return text.String()
}

func short(code rls.RateLimitResponse_Code) string {
	switch code {
	case rls.RateLimitResponse_OK:
		return "ok"
	case rls.RateLimitResponse_OVER_LIMIT:
		return "over"
	}
	return "unknown"
}

// expect compares an answer in short.
func (d *door) expect(request, want string) {
	d.t.Helper()
	if got := brief(d.ask(request)); got != want {
		d.t.Errorf("%s\ngot  %s\nwant %s", request, got, want)
	}
}
