// split_test.go cuts a cluster in two and lets it heal.

package proctest_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"
)

// The limits of a split are windows, which have no refill to reckon with.
const (
	window  = "20/month@UTC"
	guarded = "20/month@UTC unavailable=deny"
)

// splitKeys are keys of limit 20, by what befalls them.
var splitKeys = map[string][]string{
	"early":   names("early", 40),   // 4 spent, 1 more on each side while nobody knows of the cut
	"late":    names("late", 40),    // 4 spent, 3 more on each side when both know
	"heavy":   names("heavy", 40),   // 4 spent, more than all on each side
	"empty":   names("split", 40),   // all spent before
	"guarded": names("guarded", 40), // 4 spent, refused without owner
}

// Two nodes lose the third. Both sides go on as the limits say, and when they
// find each other again, what both admitted counts.
func TestSplit(t *testing.T) {
	repeat(t, func(t *testing.T, _ int) { splitAndHeal(t, length(12*time.Second, 60*time.Second)) })
}

func splitAndHeal(t *testing.T, most time.Duration) {
	c := startApart(t)
	lonely := c.serving()[2]
	sides := [][]*node{c.serving()[:2], {lonely}}
	before := &tally{}
	for group, keys := range splitKeys {
		n := 4
		if group == "empty" {
			n = 20
		}
		before.all = append(before.all, spend(t, c, n, keys, limitOf(group)).all...)
	}
	background := c.load(calm, loadKeys(), loadLimit)
	time.Sleep(1100 * time.Millisecond) // then no verdict is fresh enough to make a share of
	c.net.split(lonely.name)
	cut := time.Now()
	early := c.takeOnSides(sides, "early", 1, 10)
	c.awaitBothGone(sides)
	apart := time.Since(cut)
	late := c.takeOnSides(sides, "late", 3, 30)
	time.Sleep(time.Until(cut.Add(most))) // the length of the cut is what is tested
	c.net.heal()
	healed := time.Now()
	view := c.awaitThat(2*time.Minute, func(ctx context.Context) error { return unequalViews(ctx, c.serving()) })
	c.awaitThat(2*time.Minute, c.disagreement)
	rings := time.Since(healed)
	during := background.stop()
	time.Sleep(2 * time.Second) // for what each side kept for the other
	after := c.takeAll(allGroups(25), nil)

	t.Logf("cut for %v; both sides gave each other up after %v", most, apart.Round(time.Millisecond))
	show(t, figure{"A6", "heal until all see all", "<= 15 s", view.Seconds(), "s", ""})
	show(t, figure{"A6", "heal until equal rings", "<= 30 s", rings.Seconds(), "s", ""})
	for _, y := range []*tally{during, early, late, after} {
		y.expectAnswers(t, "A5")
	}
	t.Logf("answers by source: early %v, late %v, afterwards %v", early.sources(), late.sources(), after.sources())
	expectSums(t, audit(before, early, late), audit(before, early, late, after))
}

func limitOf(group string) string {
	if group == "guarded" {
		return guarded
	}
	return window
}

// allGroups takes n tokens of each key of all groups.
func allGroups(n int) (takes []take) {
	for group, keys := range splitKeys {
		takes = append(takes, rounds(n, keys, limitOf(group))...)
	}
	return takes
}

// takeOnSides asks each side for a little of one group and for a lot of those
// that are to run out.
func (c *cluster) takeOnSides(sides [][]*node, group string, little, heavy int) *tally {
	y := &tally{}
	for _, side := range sides {
		takes := slices.Concat(rounds(little, splitKeys[group], window), rounds(heavy, splitKeys["heavy"], window),
			rounds(heavy, splitKeys["empty"], window), rounds(heavy, splitKeys["guarded"], guarded))
		part := c.takeAll(takes, func(i int) *node { return side[i%len(side)] })
		y.all = append(y.all, part.all...)
	}
	return y
}

// awaitBothGone waits until each side is alone in its own view.
func (c *cluster) awaitBothGone(sides [][]*node) {
	c.t.Helper()
	c.awaitThat(slack, func(ctx context.Context) error {
		for _, side := range sides {
			if err := unequalViews(ctx, side); err != nil {
				return err
			}
		}
		return nil
	})
}

// expectSums compares what was admitted in the split, and in all, with the limit.
func expectSums(t *testing.T, split, all map[string]*account) {
	t.Helper()
	for _, group := range []string{"early", "late", "heavy", "empty", "guarded"} {
		mine := map[string]*account{}
		wrong, most := 0, int64(0) // keys whose sum is not what both sides make
		for _, key := range splitKeys[group] {
			mine[key] = all[key]
			want := max(split[key].admitted, 20)
			most = max(most, all[key].admitted)
			lost := int64(0)
			if group == "guarded" {
				lost = 2 // refused, because the answer of who had counted them was lost in the cut
			}
			if all[key].admitted > want || all[key].admitted < want-lost {
				wrong++
			}
		}
		promised, bound := "a bucket for the other side and a token of each node", func(a *account) int64 { return a.limit.Capacity() + 3 }
		if group != "heavy" && group != "empty" {
			promised, bound = "0 %", none
		}
		expectBound(t, "A5", group+" keys, over in a split", promised, mine, bound)
		hold(t, 0, figure{"A5", group + " keys, sum of both sides after the heal", "nothing is forgotten and no more than 20 pass",
			float64(wrong), "keys wrong", fmt.Sprintf("%d keys, at most %d passed in all", len(mine), most)})
	}
}
