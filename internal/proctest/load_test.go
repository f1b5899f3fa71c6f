// load_test.go sends takes, as many clients would, and keeps what came of them.

package proctest_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A tally is what came of a number of takes.
type tally struct {
	mu  sync.Mutex
	all []outcome // guarded by mu while takes are under way
}

func (y *tally) add(o outcome) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.all = append(y.all, o)
}

func (y *tally) count(which func(*outcome) bool) (n int) {
	for i := range y.all {
		if which(&y.all[i]) {
			n++
		}
	}
	return n
}

func isFailed(o *outcome) bool   { return o.err != nil && !o.lost }
func isLate(o *outcome) bool     { return o.err == nil && o.took > deadline }
func isLost(o *outcome) bool     { return o.err != nil && o.lost }
func isDegraded(o *outcome) bool { return o.err == nil && o.Degraded }
func isAlone(o *outcome) bool    { return o.err == nil && o.alone() }
func isAllowed(o *outcome) bool  { return o.err == nil && o.Allowed }

// latency returns a quantile of the answers' times, in milliseconds.
func (y *tally) latency(quantile float64) float64 {
	var took []time.Duration
	for i := range y.all {
		if !isLost(&y.all[i]) {
			took = append(took, y.all[i].took)
		}
	}
	if len(took) == 0 {
		return 0
	}
	slices.Sort(took)
	return ms(took[min(int(quantile*float64(len(took))), len(took)-1)])
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// examples are the first errors.
func (y *tally) examples(most int) (text string) {
	for i := range y.all {
		if o := &y.all[i]; isFailed(o) && most > 0 {
			text += fmt.Sprintf("\n\t%v", o.err)
			most--
		}
	}
	return text
}

// sources counts the answers by who gave them.
func (y *tally) sources() map[string]int {
	all := map[string]int{}
	for i := range y.all {
		if y.all[i].err == nil {
			all[y.all[i].Source]++
		}
	}
	return all
}

// expectAnswers shows how the callers fared and fails if one went without an
// answer. One in fifty may have to wait if -strict is not given: on a machine that
// does something else, calls take a while.
func (y *tally) expectAnswers(t *testing.T, row string) {
	t.Helper()
	note := fmt.Sprintf("of %d calls", len(y.all))
	if lost := y.count(isLost); lost > 0 {
		note += fmt.Sprintf(", %d more died inside the killed node", lost)
	}
	hold(t, 0, figure{row, "failed calls", "0", float64(y.count(isFailed)), "", note + y.examples(3)})
	mostLate := len(y.all) / 50
	if *strict {
		mostLate = 0
	}
	hold(t, float64(mostLate), figure{row, "calls over 1 s", "0", float64(y.count(isLate)), "", note})
	show(t, figure{row, "latency p99", "a few ms", y.latency(0.99), "ms", fmt.Sprintf("worst %s ms", number(y.latency(1)))})
}

// expectOwners fails if an answer came without the key's owner. If -strict is not given,
// one in two hundred may: an owner has 25 ms, for which a busy machine may stand still.
func (y *tally) expectOwners(t *testing.T, row string) {
	t.Helper()
	most := len(y.all) / 200
	if *strict {
		most = 0
	}
	hold(t, float64(most), figure{row, "degraded answers", "0", float64(y.count(isDegraded)), "", fmt.Sprint("by source: ", y.sources())})
}

const callers = 16 // that ask at the same time

// takeAll sends takes as fast as they are answered, the i-th through the node
// that via chooses; nil asks all that serve in turn.
func (c *cluster) takeAll(takes []take, via func(i int) *node) *tally {
	c.t.Helper()
	if via == nil {
		nodes := c.serving()
		via = func(i int) *node { return nodes[i%len(nodes)] }
	}
	y := &tally{}
	var next atomic.Int64
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(takes); i = int(next.Add(1)) - 1 {
				y.add(via(i).askWithin(patience(), takes[i]))
			}
		})
	}
	all.Wait()
	return y
}

// rounds is n takes of one token of each key. Every key gets to every node: the
// order of the keys is another one in each round.
func rounds(n int, keys []string, limit string) (takes []take) {
	for range n {
		for _, i := range rand.Perm(len(keys)) {
			takes = append(takes, take{keys[i], limit, 1})
		}
	}
	return takes
}

// names makes keys.
func names(prefix string, n int) []string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = fmt.Sprint(prefix, ":", i)
	}
	return keys
}

// A load is takes in the background.
type load struct {
	tally
	quit chan struct{}
	once sync.Once // guards the end
	all  sync.WaitGroup
}

// loadKeys and loadLimit are for load that is not to run into a limit.
const loadLimit = "1000000/h"

func loadKeys() []string { return names("load", 500) }

// load takes one token of the keys in turn, so many times a second, through the
// nodes that serve at the moment, until it is stopped. The clock sets the pace and
// not the answers, so that whoever hangs does not slow down the others.
func (c *cluster) load(perSecond int, keys []string, limit string) *load {
	l := &load{quit: make(chan struct{})}
	c.t.Cleanup(func() { l.stop() }) // of a test that failed before
	began := time.Now()
	var next atomic.Int64
	for range 64 {
		l.all.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				wait := time.NewTimer(time.Until(began.Add(time.Second * time.Duration(i) / time.Duration(perSecond))))
				select {
				case <-l.quit:
					wait.Stop()
					return
				case <-wait.C:
				}
				c.askOne(l, take{keys[i%len(keys)], limit, 1})
			}
		})
	}
	return l
}

// askOne asks some node that serves.
func (c *cluster) askOne(l *load, what take) {
	for {
		nodes := c.serving()
		if len(nodes) == 0 {
			return
		}
		if o, asked := nodes[rand.IntN(len(nodes))].ask(what); asked {
			l.add(o)
			return
		}
	}
}

// stop ends the load and returns what came of it.
func (l *load) stop() *tally {
	l.once.Do(func() { close(l.quit) })
	l.all.Wait()
	return &l.tally
}
