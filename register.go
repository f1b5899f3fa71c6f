// register.go is for counters that some protocol describes and that are no Limit: the
// protocol brings its arithmetic along, and the cluster its memory.

package bucketring

// A Step is how one protocol counts. It changes a register and returns what to answer.
//
// The owner of the key runs it while nobody else sees the register, so a Step must be
// quick: it does sums, and no I/O. It depends on nothing but r and args, and keeps neither.
// If it panics, the register stays as it was, and the call panics on: doors and links make an
// error of that, a node in the same process does not.
type Step func(r *Register, args []int64) (answer []int64)

// A Register is a few numbers under a key: the memory of a Step. Copies, hand-overs and the
// disk keep it like every counter. Where two nodes have counted apart, the one that was
// written last is right.
type Register struct {
	// Numbers is what the register holds, at most MaxNumbers. It is nil in one that does
	// not exist, and a Step that makes it empty forgets the register.
	Numbers []int64
	// Until is when the register is forgotten, in ns since 1970. 0 in one that does not
	// exist; a Step must set it.
	Until int64
	// Now is the time, in ns since 1970. It is never earlier than that of the step that has
	// changed the register last.
	Now int64
}

// Steps are the steps that a node knows, by the ID of the limit that names them. All nodes
// of a cluster must have the same; an ID means the same step for ever.
type Steps map[uint64]Step

// MaxNumbers bounds the numbers of a register, the arguments of a step, and its answer.
const MaxNumbers = 16

// StepRequest returns the request that runs a step. Its decision has the answer in Values,
// and none and is not Allowed if the node has no room for another register.
func StepRequest(id uint64, key string, args ...int64) Request {
	return Request{Verb: VerbStep, Key: key, Limits: []Limit{{Name: "register", ID: id, Kind: KindRegister}}, Args: args}
}

// validateStep checks a request with VerbStep.
func (r *Request) validateStep() error {
	switch {
	case len(r.Limits) != 1 || r.Limits[0].Kind != KindRegister:
		return Invalidf("a step needs one limit, a register")
	case len(r.Args) > MaxNumbers:
		return Invalidf("a step has %d arguments, at most %d are allowed", len(r.Args), MaxNumbers)
	case r.Cost != 0 || r.CostNanos != 0 || r.Token != "":
		return Invalidf("a step has no cost and no token: it has arguments")
	}
	return r.Limits[0].Validate()
}
