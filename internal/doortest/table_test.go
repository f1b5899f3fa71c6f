// table_test.go has one table of decisions, which every door must give.

package doortest_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// A take asks one door for one decision. remaining is that of the most restrictive
// limit. A denial is no error.
type take func(ctx context.Context, key, limit string, cost int64) (allowed bool, remaining int64, err error)

// A door is one way to ask.
type door struct {
	name string
	// open returns how to ask n, and leaves what has to be closed to t.
	open func(t *testing.T, n *node) take
	// cannot says of rows by name why they cannot be asked here; nil for none.
	cannot map[string]string
	// apart: its counters are its own, whatever the key.
	apart bool
}

// doors are those under test. Another one is another file and a line here.
func doors() []door {
	return []door{
		jsonDoor(), queryDoor(), jsonBatchDoor(), grpcDoor(), streamDoor(), batchDoor(), commandDoor(),
		respDoor(), respPolicyDoor(), gubernatorDoor(), envoyDoor(), memberDoor(), postfixDoor(),
	}
}

// A step is one take and what it must be answered.
type step struct {
	key       string // behind the row's own; two keys are two counters
	cost      int64
	allowed   bool
	remaining int64
}

// A row is a series of takes. Windows and rates are so long that nothing comes back
// while it runs.
type row struct {
	name, limit string
	key         string // before that of a step
	steps       []step
}

const oneBucket = "a bucket" // what most doors can say

var table = []row{
	{oneBucket, "10/h", "", []step{{"", 1, true, 9}, {"", 3, true, 6}, {"", 6, true, 0}, {"", 1, false, 0}, {"", 1, false, 0}}},
	{"a bucket with a burst", "2/h burst=5", "", []step{{"", 4, true, 1}, {"", 2, false, 1}, {"", 1, true, 0}, {"", 1, false, 0}}},
	{"a bucket of one", "1/h", "", []step{{"", 1, true, 0}, {"", 1, false, 0}}},
	{"a fixed window", "5/w algorithm=fixed_window", "", []step{{"", 3, true, 2}, {"", 3, false, 2}, {"", 2, true, 0}, {"", 1, false, 0}}},
	{"a large window", "9000000000000/w algorithm=fixed_window", "", []step{{"", 8999999999999, true, 1}, {"", 2, false, 1}, {"", 1, true, 0}}},
	{"a sliding window", "5/w algorithm=sliding_window", "", []step{{"", 3, true, 2}, {"", 3, false, 2}, {"", 2, true, 0}, {"", 1, false, 0}}},
	{"a month of a zone", "5/month@Europe/Berlin", "", []step{{"", 5, true, 0}, {"", 1, false, 0}}},
	// All or nothing: what the second refuses is not taken from the first.
	{"two limits", "10/h, 4/w algorithm=fixed_window", "", []step{{"", 3, true, 1}, {"", 2, false, 1}, {"", 1, true, 0}, {"", 1, false, 0}}},
	{"a cost of 0", "3/h", "", []step{{"", 0, true, 3}, {"", 2, true, 1}, {"", 0, true, 1}}},
	{"a cost of 0 when all is used", "3/h", "", []step{{"", 3, true, 0}, {"", 0, true, 0}, {"", 1, false, 0}, {"", 0, true, 0}}},
	{"a cost above the limit", "3/h", "", []step{{"", 4, false, 3}, {"", 1000000, false, 3}, {"", 3, true, 0}, {"", 4, false, 0}}},
	{"two keys", "2/h", "", []step{{"/a", 2, true, 0}, {"/b", 1, true, 1}, {"/a", 1, false, 0}, {"/b", 1, true, 0}, {"/b", 1, false, 0}}},
	{"keys that begin alike", "1/h", "", []step{{"", 1, true, 0}, {" ", 1, true, 0}, {"  ", 1, true, 0}, {" ", 1, false, 0}}},
	{"a key of other letters", "2/h", "ключ/%2F?&=#\"'\\\n", []step{{"", 2, true, 0}, {"", 1, false, 0}}},
	{"a long key", "2/h", strings.Repeat("k", 450), []step{{"", 1, true, 1}, {"x", 1, true, 1}, {"", 1, true, 0}, {"", 1, false, 0}}},
	{"a key of any bytes", "2/h", "\xff\xfe", []step{{"", 1, true, 1}, {"\xff", 1, true, 1}, {"", 1, true, 0}}},
}

const anyBytes = "a key of any bytes"

func TestEveryDoorDecidesAlike(t *testing.T) {
	n := startNode(t, "--forward-budget", "5s", "--resp-forward-budget", "5s", "--policies", policies(t))
	for _, d := range doors() {
		t.Run(d.name, func(t *testing.T) {
			ask := d.open(t, n)
			for _, r := range table {
				t.Run(r.name, func(t *testing.T) {
					if why := d.cannot[r.name]; why != "" {
						t.Skipf("not by %s: %s", d.name, why)
					}
					r.run(t, d.name, ask)
				})
			}
		})
	}
}

// run takes step by step, of counters that no other door knows.
func (r *row) run(t *testing.T, door string, ask take) {
	t.Helper()
	for i, s := range r.steps {
		ctx, cancel := context.WithTimeout(t.Context(), slack)
		allowed, remaining, err := ask(ctx, r.key+door+"/"+r.name+s.key, r.limit, s.cost)
		cancel()
		if err != nil {
			t.Fatalf("step %d: take %d of %s: %v", i+1, s.cost, r.limit, err)
		}
		if allowed != s.allowed || remaining != s.remaining {
			t.Errorf("step %d: take %d of %s = %v with %d remaining, want %v with %d", i+1, s.cost, r.limit, allowed, remaining, s.allowed, s.remaining)
		}
	}
}

// A key has one counter, whichever door is asked: but for those of other protocols, whose
// counters have other names, and a node that is another one.
func TestDoorsShareCounters(t *testing.T) {
	n := startNode(t, "--forward-budget", "5s")
	const limit = 20
	left := int64(limit)
	for round := range 2 {
		for _, d := range doors() {
			if d.apart {
				continue
			}
			left--
			allowed, remaining, err := d.open(t, n)(t.Context(), "shared", fmt.Sprint(limit, "/h"), 1)
			if err != nil || !allowed || remaining != left {
				t.Errorf("round %d by %s = %v with %d remaining, %v, want %d remaining", round+1, d.name, allowed, remaining, err, left)
			}
		}
	}
}

// What a door cannot say is named, and there is no other excuse.
func TestTable(t *testing.T) {
	names := map[string]bool{}
	for _, r := range table {
		if names[r.name] {
			t.Errorf("two rows are called %q", r.name)
		}
		names[r.name] = true
	}
	seen := map[string]bool{}
	for _, d := range doors() {
		if seen[d.name] {
			t.Errorf("two doors are called %q", d.name)
		}
		seen[d.name] = true
		if d.cannot[oneBucket] != "" {
			t.Errorf("%s cannot say %s: then it is no door", d.name, oneBucket)
		}
		for _, name := range slices.Sorted(maps.Keys(d.cannot)) {
			if !names[name] || d.cannot[name] == "" {
				t.Errorf("%s is excused from %q with %q, which is no row or no reason", d.name, name, d.cannot[name])
			}
		}
	}
}
