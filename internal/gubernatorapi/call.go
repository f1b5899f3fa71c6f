// call.go has the items of a call decided, as many at a time as is good.

package gubernatorapi

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/internal/gubernatorapi/pb"
)

const (
	maxItems   = 1000 // of a call
	maxWorkers = 64   // goroutines of a call
	sameMoment = 32   // items for which the clock of an Immediate is read once
)

// A call is the items of one, on their way.
type call struct {
	*Server
	now     int64 // ms since 1970
	items   []*pb.RateLimitReq
	answers []pb.RateLimitResp
	keys    []string
	waiting []int // items that could not be decided at once

	req bucketring.Request // of the item that is decided at once, and what came of it
	d   bucketring.Decision
}

// GetRateLimits implements pb.V1Server. The error, if any, means that no item was begun.
func (s *Server) GetRateLimits(ctx context.Context, m *pb.GetRateLimitsReq) (*pb.GetRateLimitsResp, error) {
	items := m.GetRequests()
	if size := proto.Size(m); size > maxBody { // the listener may allow others more
		return nil, tooLarge(int64(size))
	}
	if len(items) > maxItems {
		return nil, status.Error(codes.OutOfRange, tooManyItems)
	}
	c := &call{
		Server: s, now: time.Now().UnixMilli(),
		items: items, answers: make([]pb.RateLimitResp, len(items)), keys: make([]string, len(items)),
	}
	c.begin(ctx)
	c.wait(ctx)
	resp := &pb.GetRateLimitsResp{Responses: make([]*pb.RateLimitResp, len(items))}
	for i := range c.answers {
		resp.Responses[i] = &c.answers[i]
	}
	return resp, nil
}

// begin checks all items and decides those that need not wait. An item whose key waits
// does so, too: those of one key keep their order.
func (c *call) begin(ctx context.Context) {
	var reading int64
	var late map[string]bool
	for i, item := range c.items {
		if c.answers[i].Error = c.check(ctx, item); c.answers[i].Error != "" {
			continue
		}
		c.keys[i] = keyOf(item)
		if c.immediate != nil && !late[c.keys[i]] {
			if reading == 0 || i%sameMoment == 0 {
				reading = c.immediate.Now()
			}
			if c.takeNow(i, reading) {
				continue
			}
		}
		c.waiting = append(c.waiting, i)
		if late == nil {
			late = map[string]bool{}
		}
		late[c.keys[i]] = true
	}
}

// takeNow decides an item if nothing is to be waited for.
func (c *call) takeNow(i int, reading int64) (done bool) {
	defer func() {
		if c.recovered(i, recover()) {
			done = true
		}
	}()
	c.ask(&c.req, c.items[i], c.keys[i], c.now)
	c.d = bucketring.Decision{}
	if !c.immediate.TakeNow(reading, &c.req, &c.d) {
		return false
	}
	c.tell(c.items[i], &c.answers[i], &c.d, nil)
	return true
}

// wait decides the rest: those of one key in their order, and others meanwhile.
func (c *call) wait(ctx context.Context) {
	if len(c.waiting) == 0 {
		return
	}
	lines := c.lines()
	if len(lines) == 1 {
		c.takeAll(ctx, lines[0])
		return
	}
	var next atomic.Int64
	work := func() {
		for n := next.Add(1); n <= int64(len(lines)); n = next.Add(1) {
			c.takeAll(ctx, lines[n-1])
		}
	}
	var others sync.WaitGroup
	for range min(len(lines), maxWorkers) - 1 {
		others.Go(work)
	}
	work()
	others.Wait()
}

// lines returns the items that wait, those of one key together.
func (c *call) lines() (lines [][]int) {
	if len(c.waiting) == 1 {
		return [][]int{c.waiting}
	}
	place := make(map[string]int, len(c.waiting))
	for _, i := range c.waiting {
		at, known := place[c.keys[i]]
		if !known {
			at = len(lines)
			place[c.keys[i]] = at
			lines = append(lines, nil)
		}
		lines[at] = append(lines[at], i)
	}
	return lines
}

func (c *call) takeAll(ctx context.Context, line []int) {
	for _, i := range line {
		c.take(ctx, i)
	}
}

// take decides an item, which may wait for another node.
func (c *call) take(ctx context.Context, i int) {
	defer func() { c.recovered(i, recover()) }()
	if err := ctx.Err(); err != nil {
		c.answers[i].Error = c.gone(err)
		return
	}
	var req bucketring.Request
	c.ask(&req, c.items[i], c.keys[i], c.now)
	d, err := c.cfg.Limiter.Take(ctx, req)
	c.tell(c.items[i], &c.answers[i], &d, err)
}

// recovered makes a panic the error of one item.
func (c *call) recovered(i int, value any) bool {
	if value == nil {
		return false
	}
	c.panicked(value)
	a := &c.answers[i]
	a.Status, a.Limit, a.Remaining, a.ResetTime, a.Metadata = 0, 0, 0, 0, nil
	a.Error = refused(c.items[i], panicText)
	return true
}
