package bucket_test

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/bucket"
)

var registerLimit = bucketring.Limit{Name: "register", ID: 7, Kind: bucketring.KindRegister}

// addStep is a Step: it adds the first argument, and answers the sum and when it was asked. The
// second is for how many seconds the sum is good.
func addStep(r *bucketring.Register, args []int64) []int64 {
	sum := args[0]
	if len(r.Numbers) > 0 {
		sum += r.Numbers[0]
	}
	if args[0] != 0 {
		r.Numbers, r.Until = []int64{sum}, r.Now+args[1]*int64(time.Second)
	}
	return []int64{sum, r.Now}
}

func forget(r *bucketring.Register, _ []int64) []int64 {
	r.Numbers = nil
	return nil
}

// step runs a step and returns the result, and what it has answered.
func step(table *bucket.Table, key string, now bucket.Now, run bucketring.Step, args ...int64) (bucket.Result, *bucket.Stepping) {
	s := &bucket.Stepping{Run: run, Args: args}
	op := bucket.Op{Verb: bucketring.VerbStep, Step: s}
	return table.Apply(op, bucket.Counter{Key: key, Limit: &registerLimit}, now), s
}

func wantSum(t *testing.T, table *bucket.Table, key string, now bucket.Now, want, by int64) {
	t.Helper()
	res, s := step(table, key, now, addStep, by, 60)
	if !res.Allowed || s.Panic != nil || len(s.Answer) != 2 || s.Answer[0] != want {
		t.Fatalf("step by %d = %+v, %v (panic %v), want the sum %d", by, res, s.Answer, s.Panic, want)
	}
}

func TestRegisterKeepsWhatAStepMakes(t *testing.T) {
	table := bucket.New(bucket.Config{})
	wantSum(t, table, "k", noon, 0, 0)
	if keys := table.Stats().Keys; keys != 0 {
		t.Errorf("a step that only looks has made %d counters, want none", keys)
	}
	wantSum(t, table, "k", noon, 5, 5)
	wantSum(t, table, "other", noon, 1, 1)
	wantSum(t, table, "k", after(59*time.Second), 7, 2)
	wantSum(t, table, "k", after(118*time.Second), 7, 0) // the second step has renewed it
	wantSum(t, table, "k", after(119*time.Second), 0, 0)
	if dropped := table.Sweep(after(2*time.Minute), 1); dropped != 2 {
		t.Errorf("Sweep dropped %d registers, want both", dropped)
	}
}

func TestRegisterIsForgotten(t *testing.T) {
	table := bucket.New(bucket.Config{})
	wantSum(t, table, "k", noon, 5, 5)
	step(table, "k", noon, forget)
	wantSum(t, table, "k", noon, 0, 0)
	for _, tt := range []struct {
		at   time.Duration
		want int
	}{{59 * time.Second, 0}, {60 * time.Second, 1}} { // until no older copy of it is good any more
		if dropped := table.Sweep(after(tt.at), 1); dropped != tt.want {
			t.Errorf("Sweep after %v dropped %d registers, want %d", tt.at, dropped, tt.want)
		}
	}
	long := bucket.New(bucket.Config{})
	step(long, "k", noon, addStep, 5, 24*3600)
	step(long, "k", noon, forget)
	for _, tt := range []struct {
		at   time.Duration
		want int
	}{{10*time.Minute - time.Second, 0}, {10*time.Minute + time.Second, 1}} { // a day would cost too much
		if dropped := long.Sweep(after(tt.at), 1); dropped != tt.want {
			t.Errorf("Sweep of what was good for a day, after %v, dropped %d registers, want %d", tt.at, dropped, tt.want)
		}
	}
}

// TestForgottenStaysForgotten: an older copy that comes later, under another lineage, does not
// bring a register back, whether the one who forgot it holds the partition or acts for another.
func TestForgottenStaysForgotten(t *testing.T) {
	holder := bucket.New(bucket.Config{Lineage: 1})
	wantSum(t, holder, "k", noon, 100, 100)
	old := holder.Export(0, noon)
	acting := bucket.New(bucket.Config{Closed: true, Traced: true})
	acting.Open(0, 1, 2, old, noon)
	step(acting, "k", after(time.Second), forget)
	told := acting.CloseChanged(0, after(2*time.Second))
	next := bucket.New(bucket.Config{Closed: true})
	next.Open(0, 2, 3, old, after(3*time.Second), told)
	wantSum(t, next, "k", after(3*time.Second), 0, 0)
	next.Sweep(after(4*time.Second), 1)
	next.Join(0, old, after(5*time.Second))
	wantSum(t, next, "k", after(5*time.Second), 0, 0)
	holder.Join(0, told, after(6*time.Second)) // the holder is back
	wantSum(t, holder, "k", after(6*time.Second), 0, 0)
}

// TestLaterWordsWinWhileAClockIsBehind: an owner whose clock is behind that of the one before
// it counts all the same.
func TestLaterWordsWinWhileAClockIsBehind(t *testing.T) {
	ahead := bucket.New(bucket.Config{Lineage: 1})
	wantSum(t, ahead, "k", after(300*time.Millisecond), 10, 10)
	old := ahead.Close(0, after(300*time.Millisecond))
	acting := bucket.New(bucket.Config{Closed: true})
	acting.Open(0, 1, 2, old, noon)
	wantSum(t, acting, "k", noon, 3, -7)
	next := bucket.New(bucket.Config{Closed: true})
	next.Open(0, 2, 3, old, noon, acting.Close(0, noon))
	wantSum(t, next, "k", noon, 3, 0)
}

func TestRegistersTimeNeverGoesBack(t *testing.T) {
	table := bucket.New(bucket.Config{})
	ahead := after(time.Hour)
	wantSum(t, table, "k", ahead, 1, 1)
	if _, s := step(table, "k", noon, addStep, 0, 0); s.Answer[0] != 1 || s.Answer[1] != ahead.Wall {
		t.Errorf("a step an hour earlier saw %v, want the sum 1 at %d", s.Answer, ahead.Wall)
	}
}

func TestStepThatPanicsChangesNothing(t *testing.T) {
	table := bucket.New(bucket.Config{})
	wantSum(t, table, "k", noon, 5, 5)
	for name, run := range map[string]bucketring.Step{
		"panic": func(r *bucketring.Register, _ []int64) []int64 {
			r.Numbers[0] = 99
			panic("no")
		},
		"too many numbers": func(r *bucketring.Register, _ []int64) []int64 {
			r.Numbers = make([]int64, bucketring.MaxNumbers+1)
			return nil
		},
		"too long an answer": func(*bucketring.Register, []int64) []int64 { return make([]int64, bucketring.MaxNumbers+1) },
	} {
		if _, s := step(table, "k", noon, run); s.Panic == nil || s.Answer != nil {
			t.Errorf("%s: answer %v, panic %v, want only a panic", name, s.Answer, s.Panic)
		}
	}
	wantSum(t, table, "k", noon, 5, 0)
}

func TestRegistersOfAFullTable(t *testing.T) {
	table := bucket.New(bucket.Config{MaxKeys: 1})
	wantSum(t, table, "k", noon, 5, 5)
	if res, _ := step(table, "new", noon, addStep, 1, 60); res.Allowed || table.Stats().Overflowed != 1 {
		t.Errorf("a register beyond the bound = %+v (%d overflowed), want it refused and counted", res, table.Stats().Overflowed)
	}
	wantSum(t, table, "new", noon, 0, 0) // who only looks needs no room
	wantSum(t, table, "k", noon, 6, 1)
}

func TestRegisterOnlyKnowsSteps(t *testing.T) {
	table := bucket.New(bucket.Config{})
	wantSum(t, table, "k", noon, 5, 5)
	for _, verb := range []bucketring.Verb{bucketring.VerbTake, bucketring.VerbPeek, bucketring.VerbRefund, bucketring.VerbReset} {
		table.Do(verb, bucket.Counter{Key: "k", Limit: &registerLimit}, noon, 3)
		wantSum(t, table, "k", noon, 5, 0)
	}
}

func TestRegistersTravel(t *testing.T) {
	here, there := bucket.New(bucket.Config{}), bucket.New(bucket.Config{Closed: true})
	wantSum(t, here, "k", noon, 5, 5)
	s := here.Close(0, noon)
	elsewhere := bucket.Now{Mono: 3 * int64(time.Hour), Wall: noon.Wall} // another uptime
	there.Open(0, 2, 1, s.Relative(noon).Absolute(elsewhere), elsewhere)
	if res, _ := step(here, "k", noon, addStep, 1, 60); !res.Away {
		t.Errorf("a step where the partition was = %+v, want Away", res)
	}
	wantSum(t, there, "k", elsewhere, 6, 1)
	elsewhere.Wall += int64(61 * time.Second)
	wantSum(t, there, "k", elsewhere, 0, 0)
}

// TestLastWordOfARegisterIsRight joins what two lineages have written, in any order.
func TestLastWordOfARegisterIsRight(t *testing.T) {
	state := func(lineage uint64, at time.Duration, n int64) *bucket.State {
		table := bucket.New(bucket.Config{Lineage: lineage})
		wantSum(t, table, "k", after(at), n, n)
		return table.Close(0, after(at))
	}
	early, late := state(1, 0, 50), state(2, time.Second, 3)
	now := after(2 * time.Second)
	for _, states := range [][]*bucket.State{{early, late}, {late, early}, {early, late, early}} {
		table := bucket.New(bucket.Config{Closed: true})
		table.Open(0, 9, 3, states[0], now)
		for _, s := range states[1:] {
			table.Join(0, s, now)
		}
		wantSum(t, table, "k", now, 3, 0)
		wantSum(t, table, "k", now, 4, 1)
		table.Join(0, late, now) // what was joined before changes nothing
		wantSum(t, table, "k", now, 4, 0)
	}
}

// TestRegisterFromTheFuture has a clock that went wrong not rule for ever.
func TestRegisterFromTheFuture(t *testing.T) {
	wrong := after(10 * 24 * time.Hour)
	far := bucket.New(bucket.Config{Lineage: 1})
	wantSum(t, far, "k", wrong, 1, 1)
	table := bucket.New(bucket.Config{Closed: true})
	table.Open(0, 9, 3, far.Close(0, wrong), noon)
	if _, s := step(table, "k", noon, addStep, 0, 0); s.Answer[1] > noon.Wall+int64(time.Minute) {
		t.Errorf("the time of a register is %v ahead, want at most a minute", time.Duration(s.Answer[1]-noon.Wall))
	}
	again := bucket.New(bucket.Config{Lineage: 1})
	wantSum(t, again, "k", wrong, 1, 1)
	wantSum(t, table, "k", noon, 3, 2)
	table.Join(0, again.Close(0, wrong), noon) // what it had on its disk comes once more
	wantSum(t, table, "k", noon, 3, 0)
}

func TestChangesOfRegisters(t *testing.T) {
	table := bucket.New(bucket.Config{})
	table.TrackChanges(true)
	changed := func(want int) *bucket.State {
		t.Helper()
		all := table.Changes(noon)
		if len(all) != want {
			t.Fatalf("%d partitions have changed, want %d", len(all), want)
		}
		if want == 0 {
			return nil
		}
		return all[0].State
	}
	wantSum(t, table, "k", noon, 5, 5)
	changed(1)
	wantSum(t, table, "k", noon, 5, 0) // only looks
	changed(0)
	step(table, "k", after(time.Second), forget)
	gone := changed(1)
	copied := bucket.New(bucket.Config{Closed: true})
	copied.Open(0, 1, 1, gone, noon)
	wantSum(t, copied, "k", noon, 0, 0)
	if table.IsUnused(&gone.Records[0], noon) || !table.IsUnused(&gone.Records[0], after(time.Minute)) {
		t.Errorf("the record of a register that was forgotten is to be kept for as long as it was good, and no longer")
	}
}

// TestStepsAreAtomic adds from many goroutines while the register is swept and moved.
func TestStepsAreAtomic(t *testing.T) {
	const callers, calls = 8, 500
	p := newPendulum(time.Hour)
	var group sync.WaitGroup
	var mu sync.Mutex
	var sums []int64
	for range callers {
		group.Go(func() {
			for range calls {
				s := &bucket.Stepping{Run: addStep, Args: []int64{1, 60}}
				for i := 0; ; i = 1 - i {
					op := bucket.Op{Verb: bucketring.VerbStep, Step: s}
					if res := p.tables[i].Apply(op, bucket.Counter{Key: "k", Limit: &registerLimit}, p.nows[i]); !res.Away {
						break
					}
				}
				mu.Lock()
				sums = append(sums, s.Answer[0])
				mu.Unlock()
			}
		})
	}
	for range 50 {
		p.swing()
		p.tables[0].Sweep(noon, 1)
	}
	group.Wait()
	slices.Sort(sums)
	for i, sum := range sums {
		if sum != int64(i+1) {
			t.Fatalf("sum %d of %d is %d, want each once", i+1, len(sums), sum)
		}
	}
	if len(sums) != callers*calls {
		t.Fatalf("%d steps, want %d", len(sums), callers*calls)
	}
}
