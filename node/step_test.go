package node_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/node"
)

const (
	addID   = 7 // adds its argument
	panicID = 8 // changes the numbers and panics
)

func withSteps(cfg *node.Config) {
	cfg.Steps = bucketring.Steps{
		addID: func(r *bucketring.Register, args []int64) []int64 {
			sum := args[0]
			if len(r.Numbers) > 0 {
				sum += r.Numbers[0]
			}
			r.Numbers, r.Until = []int64{sum}, r.Now+int64(time.Minute)
			return []int64{sum}
		},
		panicID: func(r *bucketring.Register, _ []int64) []int64 {
			r.Numbers, r.Until = []int64{1}, r.Now+int64(time.Minute)
			panic("a step that is wrong")
		},
	}
}

// TestStepsFromAnyNode adds to one register at all nodes at once: each sum appears once.
func TestStepsFromAnyNode(t *testing.T) {
	const each = 200
	c := newCluster(t, 3, withSteps)
	for _, key := range []string{"a", "b", "c", "d"} {
		var mu sync.Mutex
		var sums []int64
		var group sync.WaitGroup
		for _, n := range c.nodes {
			group.Go(func() {
				for range each {
					d, err := n.Take(t.Context(), bucketring.StepRequest(addID, key, 1))
					if err != nil || !d.Allowed || len(d.Values) != 1 || d.Source != bucketring.SourceOwner || d.Owner == "" {
						t.Errorf("step of %q = %+v, %v, want one value from the owner", key, d, err)
						return
					}
					mu.Lock()
					sums = append(sums, d.Values[0])
					mu.Unlock()
				}
			})
		}
		group.Wait()
		slices.Sort(sums)
		for i, sum := range sums {
			if sum != int64(i+1) {
				t.Fatalf("sum %d of %q is %d, want each once", i+1, key, sum)
			}
		}
	}
}

// TestStepNow runs steps without waiting where the key is, and leaves those of others.
func TestStepNow(t *testing.T) {
	c := newCluster(t, 2, withSteps)
	for i := range 20 {
		key, done := fmt.Sprint("k", i), 0
		for _, n := range c.nodes {
			req, d := bucketring.StepRequest(addID, key, 5), bucketring.Decision{}
			if n.TakeNow(n.Now(), &req, &d) {
				done++
				if !slices.Equal(d.Values, []int64{5}) {
					t.Errorf("TakeNow of a step = %+v, want the value 5", d)
				}
			}
		}
		if done != 1 {
			t.Errorf("%d of two nodes have run the step of %q at once, want its owner alone", done, key)
		}
	}
}

func TestStepThatNobodyKnows(t *testing.T) {
	c := newCluster(t, 2, withSteps)
	for _, n := range c.nodes {
		_, err := n.Take(t.Context(), bucketring.StepRequest(99, "k"))
		if !errors.Is(err, bucketring.ErrInvalid) || !strings.Contains(err.Error(), "knows no step 0x63") {
			t.Errorf("step 99 = %v, want ErrInvalid that names it", err)
		}
	}
}

// TestStepWithoutItsOwner fails: nobody has a share of a register.
func TestStepWithoutItsOwner(t *testing.T) {
	c := newCluster(t, 2, withSteps)
	key := c.keyOf(1)
	c.wires.set("n2", refuses)
	if d, err := c.nodes[0].Take(t.Context(), bucketring.StepRequest(addID, key, 1)); !errors.Is(err, bucketring.ErrUnavailable) {
		t.Errorf("step without its owner = %+v, %v, want ErrUnavailable", d, err)
	}
	c.wires.set("n2", works)
	if d, err := c.nodes[0].Take(t.Context(), bucketring.StepRequest(addID, key, 1)); err != nil || d.Values[0] != 1 {
		t.Errorf("step when it is back = %+v, %v, want 1", d, err)
	}
}

// TestStepThatPanics costs its call, and the register is as it was.
func TestStepThatPanics(t *testing.T) {
	n := newCluster(t, 1, withSteps).nodes[0]
	func() {
		defer func() {
			if cause := recover(); cause != "a step that is wrong" {
				t.Errorf("the call panicked with %v, want what the step said", cause)
			}
		}()
		_, _ = n.Take(context.Background(), bucketring.StepRequest(panicID, "k"))
	}()
	if d, err := n.Take(t.Context(), bucketring.StepRequest(addID, "k", 1)); err != nil || d.Values[0] != 1 {
		t.Errorf("the next step = %+v, %v, want 1", d, err)
	}
}

// TestRegistersAreNoTokens: neither callers nor peers take tokens from a register.
func TestRegistersAreNoTokens(t *testing.T) {
	n := newCluster(t, 1, withSteps).nodes[0]
	register := bucketring.Limit{Name: "r", ID: addID, Kind: bucketring.KindRegister}
	for name, try := range map[string]func() error{
		"caller": func() error {
			_, err := n.Take(t.Context(), bucketring.Request{Key: "k", Limits: []bucketring.Limit{register}, Cost: 1})
			return err
		},
		"peer": func() error {
			charges := []bucketring.Charge{{Limit: &register, Key: "k", Cost: 1}}
			_, err := n.Local().Take(t.Context(), bucketring.Request{Charges: charges})
			return err
		},
	} {
		if err := try(); !errors.Is(err, bucketring.ErrInvalid) {
			t.Errorf("%s: tokens of a register = %v, want ErrInvalid", name, err)
		}
	}
}

// TestStepsAreCountedByTheirDoor: a step is no decision until its door says which.
func TestStepsAreCountedByTheirDoor(t *testing.T) {
	c := newCluster(t, 1, withSteps)
	door := c.nodes[0].Door("other").(interface {
		bucketring.Limiter
		Now() int64
		TakeNow(now int64, req *bucketring.Request, d *bucketring.Decision) bool
		Count(key string, d bucketring.Decision)
	})
	var d bucketring.Decision
	req := bucketring.StepRequest(addID, "k", 1)
	if _, err := door.Take(t.Context(), req); err != nil || !door.TakeNow(door.Now(), &req, &d) {
		t.Fatalf("steps through a door: %v, %+v", err, d)
	}
	if counted := c.nodes[0].Stats().Doors[0].Decisions; len(counted) > 0 {
		t.Errorf("two steps are counted as %v, want no decision", counted)
	}
	for _, allowed := range []bool{true, true, false} {
		door.Count("k", bucketring.Decision{Allowed: allowed})
	}
	want := []node.DecisionCount{{Count: 1}, {Allowed: true, Count: 2}}
	if got := c.nodes[0].Stats().Doors[0].Decisions; !slices.Equal(got, want) {
		t.Errorf("Decisions = %v, want %v", got, want)
	}
}
