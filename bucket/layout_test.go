package bucket_test

import (
	"math"
	"testing"
	"time"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/bucket"
)

// TestLayout: 10 million keys are to fit a gigabyte.
func TestLayout(t *testing.T) {
	if got, want := bucket.BucketSize, uintptr(32); got > want {
		t.Errorf("a bucket has %d bytes, want at most %d", got, want)
	}
}

// TestForms: the limits that people write fit a word, and no clock that a node
// can have stands still.
func TestForms(t *testing.T) {
	const years = 365 * 24 * time.Hour
	tests := []struct {
		limit string
		wide  bool
	}{
		{"1/s", false},
		{"7/s", false},
		{"1/366d", false},
		{"10/m burst=15", false},
		{"1000000/s", false},
		{"99999/h", false},
		{"1000000/d", false},
		{"12345678/d", true}, // no common factor with the microseconds of a day
		{"1GB/s", false},
		{"16384000000/s", false}, // 2^14 a microsecond
		{"16385000000/s", true},
		{"100000007/s", true},
		{"9223372036854775807/s", true},
		{"9223372036854775807/366d", true},
		{"500/m algorithm=fixed_window", false},
		{"500000000/s algorithm=fixed_window", false},
		{"536870912/s algorithm=fixed_window", true}, // 2^29
		{"9223372036854775807/366d algorithm=fixed_window", true},
		{"33554431/m algorithm=fixed_window align=first_request", false},
		{"33554432/m algorithm=fixed_window align=first_request", true}, // 2^25
		{"536870911/day@Europe/Berlin", false},
		{"536870912/day@Europe/Berlin", true}, // 2^29
		{"536870911/y@Asia/Tokyo align=first_request", false},
		{"536870912/month@Asia/Tokyo align=first_request", true},
		{"500/m algorithm=sliding_window", true},
	}
	for _, tt := range tests {
		t.Run(tt.limit, func(t *testing.T) {
			l, err := parseLimit(tt.limit)
			if err != nil {
				t.Fatal(err)
			}
			form := bucket.FormOf(l)
			if form.Wide != tt.wide {
				t.Errorf("%v is wide = %v, want %v", l, form.Wide, tt.wide)
			}
			least := 8 * years
			if form.Wide {
				least = 280 * years
			}
			if got := time.Duration(form.LastMono); got < least {
				t.Errorf("the clock of %v stands still after %v, want %v at least", l, got, least)
			}
		})
	}
}

// TestTakeOfAKnownKeyAllocatesNothing, nor do the other verbs, wide or not.
func TestTakeOfAKnownKeyAllocatesNothing(t *testing.T) {
	for _, shape := range shapes() {
		for _, amount := range []int64{10, math.MaxInt64} {
			shape.Amount = amount
			t.Run(shape.String(), func(t *testing.T) {
				table, c := bucket.New(bucket.Config{Partitions: 4}), counterOf(shape, "key")
				table.Take(c, noon, 1)
				now := noon
				for verb := range bucketring.VerbReset + 1 {
					got := testing.AllocsPerRun(100, func() {
						now.Mono, now.Wall = now.Mono+int64(time.Millisecond), now.Wall+int64(time.Millisecond)
						table.Do(verb, c, now, 3) // some are allowed, some denied
					})
					if got != 0 {
						t.Errorf("%v allocates %v times, want 0", verb, got)
					}
				}
			})
		}
	}
}
