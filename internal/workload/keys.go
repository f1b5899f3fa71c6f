package workload

import (
	"math"
	"math/rand/v2"
	"strconv"
)

// Keys are distinct keys "account:0", "account:1" and so on, and an endless
// sequence of draws from them. They are immutable.
type Keys struct {
	all   []string
	text  string   // the drawn keys, one behind another
	edges []uint32 // draw i is text[edges[i]:edges[i+1]]
}

// minDraws is the least length of a sequence before it repeats.
const minDraws = 1 << 16

// Hot returns a single key.
func Hot() *Keys { return Distinct(1, 0) }

// Distinct returns n ≥ 1 keys for one of several callers, from 0 on, that are no
// other's. They are drawn in turn.
func Distinct(n, caller int) *Keys {
	numbers := count(n)
	for i := range numbers {
		numbers[i] += uint32(n * caller)
	}
	return newKeys(numbers, numbers)
}

// Uniform returns n ≥ 1 keys, each as likely as any other.
func Uniform(n int, seed uint64) *Keys { return Zipf(n, 0, seed) }

// Zipf returns n ≥ 1 keys of which the k-th most popular is drawn in proportion
// to 1/k^s, s ≥ 0. The number in a key does not tell how popular it is: popular
// keys should not be neighbours in the memory of whoever stores keys in order.
//
// The sequence has at least twice as many draws as keys, and every key as often
// in it as its share asks for, rounded up or down by chance. It costs about
// 0.2 µs and 36 bytes a key.
func Zipf(n int, s float64, seed uint64) *Keys {
	random := rand.New(rand.NewPCG(seed, 0))
	ranked := random.Perm(n) // numbers of keys, most popular first
	weight := func(rank int) float64 { return math.Pow(float64(rank+1), -s) }
	total := 0.0
	for rank := range n {
		total += weight(rank)
	}
	// One draw from each of equally likely slices, then all of them shuffled.
	draws := make([]uint32, max(2*n, minDraws))
	slice := total / float64(len(draws))
	rank, below := 0, weight(0) // all ranks up to this one, added up
	for i := range draws {
		at := (float64(i) + random.Float64()) * slice
		for below < at && rank < n-1 {
			rank++
			below += weight(rank)
		}
		draws[i] = uint32(ranked[rank])
	}
	random.Shuffle(len(draws), func(i, j int) { draws[i], draws[j] = draws[j], draws[i] })
	return newKeys(count(n), draws)
}

// count returns the numbers from 0 to n-1.
func count(n int) []uint32 {
	numbers := make([]uint32, n)
	for i := range numbers {
		numbers[i] = uint32(i)
	}
	return numbers
}

// newKeys writes out the keys with these numbers and the draws from them.
func newKeys(numbers, draws []uint32) *Keys {
	names, edges := write(numbers)
	k := &Keys{all: make([]string, len(numbers))}
	for i := range k.all {
		k.all[i] = names[edges[i]:edges[i+1]]
	}
	k.text, k.edges = write(draws)
	return k
}

// write writes keys with these numbers one behind another.
func write(numbers []uint32) (text string, edges []uint32) {
	all := make([]byte, 0, len(numbers)*len("account:1234567"))
	edges = make([]uint32, 1, len(numbers)+1)
	for _, number := range numbers {
		all = append(all, "account:"...)
		all = strconv.AppendUint(all, uint64(number), 10)
		edges = append(edges, uint32(len(all)))
	}
	return string(all), edges
}

// All returns every key once, in the order of their numbers. It is read only.
func (k *Keys) All() []string { return k.all }

// Stream returns the draws from the first one on. It belongs to one goroutine.
func (k *Keys) Stream() *Stream { return k.StreamOf(0, 1) }

// StreamOf returns the draws for one of several callers, from 0 to callers-1.
// They walk through the same sequence and begin at places far from each other.
func (k *Keys) StreamOf(caller, callers int) *Stream {
	return &Stream{keys: k, next: (len(k.edges) - 1) * caller / callers}
}

// A Stream draws keys without end.
type Stream struct {
	keys *Keys
	next int // below the number of draws
}

// Next draws a key. It costs about 1 ns and allocates nothing.
func (s *Stream) Next() string {
	edges := s.keys.edges
	key := s.keys.text[edges[s.next]:edges[s.next+1]]
	if s.next++; s.next == len(edges)-1 {
		s.next = 0
	}
	return key
}
