package client_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/client"
)

// failing fails so many times and then decides.
type failing struct {
	times, asked int
	tokens       map[string]bool
	at           []time.Duration
	began        time.Time
}

func (f *failing) Take(_ context.Context, req bucketring.Request) (bucketring.Decision, error) {
	f.asked++
	f.at = append(f.at, time.Since(f.began))
	f.tokens[req.Token] = true
	if f.asked <= f.times {
		return bucketring.Decision{}, bucketring.ErrUnavailable
	}
	return bucketring.Decision{Allowed: true}, nil
}

func newFailing(times int) *failing {
	return &failing{times: times, tokens: map[string]bool{}, began: time.Now()}
}

// TestRetryBacksOff: each pause is twice the one before and up to half as long again, up
// to the longest.
func TestRetryBacksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lim := newFailing(10)
		if d, err := (client.Retry{Limiter: lim}).Take(t.Context(), call); err != nil || !d.Allowed {
			t.Fatalf("Take = %+v, %v, want the decision in the end", d, err)
		}
		exact := 0
		for i, want := range []time.Duration{50, 100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000} {
			want *= time.Millisecond
			got := lim.at[i+1] - lim.at[i]
			if got < want || got >= want*3/2 {
				t.Errorf("pause %d = %v, want %v to %v", i+1, got, want, want*3/2)
			}
			if got == want {
				exact++
			}
		}
		if exact > 2 {
			t.Errorf("%d pauses are exact, want them spread", exact)
		}
	})
}

func TestRetryEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lim := newFailing(100)
		_, err := client.Retry{Limiter: lim, Attempts: 3, First: time.Hour, Longest: time.Minute}.Take(t.Context(), call)
		if !errors.Is(err, bucketring.ErrUnavailable) || lim.asked != 3 || lim.at[2] < 2*time.Minute || lim.at[2] > 3*time.Minute {
			t.Errorf("Take = %v, asked at %v, want ErrUnavailable after 3 attempts and two pauses of Longest", err, lim.at)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		if _, err := (client.Retry{Limiter: newFailing(100), First: time.Hour, Longest: time.Hour}).Take(ctx, call); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Second {
			t.Errorf("Take = %v after %v, want DeadlineExceeded after 1s", err, time.Since(began))
		}
	})
}

// TestRetryRepeatsWhatCanBe and keeps one token for what is lent.
func TestRetryRepeatsWhatCanBe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, req := range calls() {
			lim := newFailing(1)
			_, err := client.Retry{Limiter: lim}.Take(t.Context(), req)
			if once := req.Verb == bucketring.VerbRefund || req.Verb == bucketring.VerbAdd; once != (lim.asked == 1) || once != (err != nil) {
				t.Errorf("%v: asked %d times: %v", req.Verb, lim.asked, err)
			}
		}
		lim := newFailing(2)
		lent := bucketring.Request{Key: "k", Limits: bucketring.MustParse("5 concurrent"), Cost: 1}
		if _, err := (client.Retry{Limiter: lim}).Take(t.Context(), lent); err != nil || lim.asked != 3 || len(lim.tokens) != 1 || lim.tokens[""] {
			t.Errorf("Take of a lease = %v with the tokens %v, want one for all attempts", err, lim.tokens)
		}
		answer := 0
		invalid := decider(func(context.Context, bucketring.Request) (bucketring.Decision, error) {
			answer++
			return bucketring.Decision{}, bucketring.Invalidf("no")
		})
		if _, err := (client.Retry{Limiter: invalid}).Take(t.Context(), call); !errors.Is(err, bucketring.ErrInvalid) || answer != 1 {
			t.Errorf("Take = %v after %d attempts, want ErrInvalid at once", err, answer)
		}
	})
}
