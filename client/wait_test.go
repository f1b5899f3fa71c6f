package client_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/bucket"
	"github.com/bucketring/bucketring/client"
)

// counting is a limiter in memory, exact to the nanosecond of a bubble.
type counting struct {
	table *bucket.Table
	began time.Time
	asked atomic.Int64
}

func newCounting() *counting {
	return &counting{table: bucket.New(bucket.Config{}), began: time.Now()}
}

func (c *counting) Take(ctx context.Context, req bucketring.Request) (bucketring.Decision, error) {
	if err := ctx.Err(); err != nil {
		return bucketring.Decision{}, err
	}
	c.asked.Add(1)
	now := time.Now()
	res := c.table.Take(bucket.Counter{Key: req.Key, Limit: &req.Limits[0]},
		bucket.Now{Mono: int64(now.Sub(c.began)), Wall: now.UnixNano()}, req.Cost)
	return bucketring.Decision{Allowed: res.Allowed, LimitState: bucketring.LimitState{
		Name: req.Limits[0].Name, Allowed: res.Allowed, Limit: req.Limits[0].Capacity(), Remaining: res.Remaining,
		ResetAfter: res.Reset, RetryAfter: res.Retry,
	}}, nil
}

// serial is one process's view of a limiter: it notices calls at the same time.
func serial(t *testing.T, lim bucketring.Limiter) decider {
	var asking sync.Mutex
	return func(ctx context.Context, req bucketring.Request) (bucketring.Decision, error) {
		if !asking.TryLock() {
			t.Error("two calls of one queue ask at the same time, want only the first in line")
			return bucketring.Decision{}, bucketring.ErrUnavailable
		}
		defer asking.Unlock()
		return lim.Take(ctx, req)
	}
}

// TestP12 is vector P12: three processes, a hundred calls each.
func TestP12(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const processes, calls = 3, 100
		began, lim := time.Now(), newCounting()
		task := bucketring.Request{Key: "task=process_audio_task", Limits: bucketring.MustParse("60/m"), Cost: 1}
		var mu sync.Mutex
		var at []time.Duration     // of each grant
		var order [processes][]int // of each process's grants
		var queues [processes]*client.Queue
		for p := range queues {
			queues[p] = client.NewQueue(serial(t, lim), calls)
		}
		for call := range calls {
			for p, q := range queues {
				go func() {
					d, err := q.Wait(t.Context(), task)
					if err != nil || !d.Allowed {
						t.Errorf("Wait no. %d of process %d = %v, %v, want admitted", call, p, d.Allowed, err)
					}
					mu.Lock()
					defer mu.Unlock()
					at = append(at, time.Since(began))
					order[p] = append(order[p], call)
				}()
				synctest.Wait() // it stands in line
			}
		}
		time.Sleep(time.Hour)
		synctest.Wait()

		if len(at) != processes*calls {
			t.Fatalf("%d grants, want %d: none is lost", len(at), processes*calls)
		}
		for i, when := range at {
			if want := max(time.Duration(i-59), 0) * time.Second; when != want {
				t.Fatalf("grant %d came after %v, want %v", i+1, when, want)
			}
		}
		upTo, _ := slices.BinarySearch(at, 60*time.Second+1)
		if upTo != 120 {
			t.Errorf("%d grants up to and including the 60th second, want 120", upTo)
		}
		for p := range order {
			if !slices.IsSorted(order[p]) {
				t.Errorf("process %d was admitted in the order %v, want first come, first admitted", p, order[p])
			}
		}
		if most := int64((processes + 1) * processes * calls); lim.asked.Load() > most {
			t.Errorf("%d asks, want at most %d: one of each process for a token, and one of the next in line", lim.asked.Load(), most)
		}
	})
}

func TestWaitGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lim := newCounting()
		hourly := bucketring.Request{Key: "k", Limits: bucketring.MustParse("1/h"), Cost: 1}
		if d, err := client.Wait(t.Context(), lim, hourly); err != nil || !d.Allowed {
			t.Fatalf("Wait = %+v, %v, want admitted at once", d, err)
		}
		began := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		d, err := client.Wait(ctx, lim, hourly)
		if !errors.Is(err, context.DeadlineExceeded) || d.Allowed || d.RetryAfter != time.Hour || time.Since(began) != time.Minute {
			t.Errorf("Wait = %+v, %v after %v, want the denial and DeadlineExceeded after 1m", d, err, time.Since(began))
		}
		large := hourly
		large.Cost = 2
		if d, err := client.Wait(t.Context(), lim, large); !errors.Is(err, client.ErrNever) || d.Name != "inline" {
			t.Errorf("Wait for more than the capacity = %+v, %v, want ErrNever at once", d, err)
		}
		if _, err := client.Wait(t.Context(), decider(away), hourly); !errors.Is(err, bucketring.ErrUnavailable) {
			t.Errorf("Wait for nodes that are away = %v, want ErrUnavailable at once", err)
		}
		if took := time.Since(began); took != time.Minute {
			t.Errorf("all that took %v, want only the minute of the first", took)
		}
	})
}

// TestWaitSpreads: those who wait long for one moment do not all ask at it.
func TestWaitSpreads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lim, began := newCounting(), time.Now()
		daily := bucketring.Request{Key: "k", Limits: bucketring.MustParse("100/d algorithm=fixed_window"), Cost: 100}
		if _, err := client.Wait(t.Context(), lim, daily); err != nil {
			t.Fatal(err)
		}
		daily.Cost = 1
		var mu sync.Mutex
		moments := map[time.Duration]int{}
		for range 100 {
			go func() {
				if _, err := client.Wait(t.Context(), lim, daily); err != nil {
					t.Errorf("Wait = %v, want admitted", err)
				}
				mu.Lock()
				defer mu.Unlock()
				moments[time.Since(began)]++
			}()
		}
		time.Sleep(25 * time.Hour)
		synctest.Wait()
		first, last := 25*time.Hour, time.Duration(0)
		for when := range moments {
			first, last = min(first, when), max(last, when)
		}
		if len(moments) < 90 || last-first >= time.Second || lim.asked.Load() != 201 {
			t.Errorf("100 calls came at %d moments within %v after %d asks, want spread over less than 1s and 201 asks",
				len(moments), last-first, lim.asked.Load())
		}
	})
}

// TestWaitDoesNotSpin: a denial that says to come back at once.
func TestWaitDoesNotSpin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		_, err := client.Wait(t.Context(), decider(func(context.Context, bucketring.Request) (bucketring.Decision, error) {
			asked++
			return bucketring.Decision{Allowed: asked == 11}, nil
		}), call)
		if took := time.Since(lastSecond()); err != nil || took < 10*time.Millisecond {
			t.Errorf("Wait = %v after %v, want admitted after 10 pauses", err, took)
		}
	})
}

// lastSecond is when a bubble has begun: on a whole second.
func lastSecond() time.Time { return time.Now().Truncate(time.Second) }

func TestQueueIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lim := newCounting()
		minute := bucketring.Request{Key: "k", Limits: bucketring.MustParse("1/m"), Cost: 1}
		q := client.NewQueue(serial(t, lim), 3)
		if _, err := q.Wait(t.Context(), minute); err != nil {
			t.Fatal(err)
		}
		results := make(chan error, 3)
		for range 3 {
			go func() {
				_, err := q.Wait(t.Context(), minute)
				results <- err
			}()
		}
		synctest.Wait()
		if _, err := q.Wait(t.Context(), minute); !errors.Is(err, client.ErrQueueFull) || q.Len() != 3 {
			t.Errorf("Wait behind three = %v with %d in line, want ErrQueueFull and 3", err, q.Len())
		}
		for range 3 {
			if err := <-results; err != nil {
				t.Errorf("Wait = %v, want admitted", err)
			}
		}
		synctest.Wait()
		if q.Len() != 0 {
			t.Errorf("%d calls in line when all are admitted, want 0", q.Len())
		}
	})
}

// TestQueueGoesOn after those in line that give up, first or not, or fail.
func TestQueueGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began, lim := time.Now(), newCounting()
		minute := bucketring.Request{Key: "k", Limits: bucketring.MustParse("1/m"), Cost: 1}
		q := client.NewQueue(serial(t, lim), 0)
		wait := func(ctx context.Context, req bucketring.Request) chan error {
			result := make(chan error, 1)
			go func() {
				_, err := q.Wait(ctx, req)
				result <- err
			}()
			synctest.Wait()
			return result
		}
		impatient, giveUp := context.WithCancel(t.Context())
		never := minute
		never.Cost = 2
		wait(t.Context(), minute)
		head, second, third := wait(impatient, minute), wait(impatient, minute), wait(t.Context(), never)
		last := wait(t.Context(), minute)
		giveUp()
		if err := <-second; !errors.Is(err, context.Canceled) {
			t.Errorf("second in line = %v, want Canceled", err)
		}
		if err := <-head; !errors.Is(err, context.Canceled) {
			t.Errorf("first in line = %v, want Canceled", err)
		}
		if err := <-third; !errors.Is(err, client.ErrNever) {
			t.Errorf("third in line = %v, want ErrNever", err)
		}
		if err := <-last; err != nil {
			t.Errorf("last in line = %v, want admitted", err)
		}
		if took := time.Since(began); took < time.Minute || took > 61*time.Second {
			t.Errorf("it was admitted after %v, want 1m and a little", took)
		}
	})
}
