// item.go writes calls as items and reads them: one with limits that all count
// one key, one with the charges of a policy, or one about leases and
// reservations by their ids.

package transport

import (
	"bytes"
	"math"
	"time"
	"unicode/utf8"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/transport/peerpb"
)

const (
	maxItem     = 16 << 10 // bytes of a call on the wire
	maxName     = 255      // bytes of the name of a limit, zone or node
	maxTold     = 64       // bytes of the name of a limit in a verdict
	maxCharges  = 64       // limits of a call
	itemBytes   = 72       // of a call, beside its charges and ids
	chargeBytes = 152      // of a charge and the definition of its limit, beside key and names
	idBytes     = 20       // of an id
	numberBytes = 10       // of an argument of a step, or of a number of its answer
	toldBytes   = 160      // of the state of a limit that the asker does not know
)

// An outgoing is a call on its way.
type outgoing struct {
	id       uint64
	req      *bucketring.Request
	ids      [][]byte // req.IDs as they travel
	part     uint32   // of the ids, or of the charges
	size     int      // about the bytes of the call, or of its answer, in a frame; never less
	held     int      // bytes of its keys and ids
	deadline time.Time
	waiter   bucketring.Waiter // who is told; nil for who waits for answer
	answer   chan answer       // one slot: whoever answers never waits
}

type answer struct {
	decision bucketring.Decision
	err      error
}

// newOutgoing refuses, alone, a call that would break the link for its
// neighbours.
func newOutgoing(req *bucketring.Request) (*outgoing, error) {
	o := &outgoing{req: req, part: req.Partition, size: itemBytes + len(req.Token), held: len(req.Key)}
	if byID(req.Verb) {
		if err := o.addIDs(); err != nil {
			return nil, err
		}
	}
	if req.Verb == bucketring.VerbStep {
		o.size += numberBytes * (len(req.Args) + bucketring.MaxNumbers)
	}
	n := charges(req)
	if n > maxCharges {
		return nil, bucketring.Invalidf("%d limits in one call, at most %d are allowed", n, maxCharges)
	}
	for i := range n {
		c := charge(req, i)
		if name := c.Limit.Name; len(name) > maxName || !utf8.ValidString(name) {
			return nil, bucketring.Invalidf("the name of limit %d is not text of at most %d bytes", i+1, maxName)
		}
		if zone := c.Limit.Zone; len(zone) > maxName || !utf8.ValidString(zone) {
			return nil, bucketring.Invalidf("the time zone of limit %d is not text of at most %d bytes", i+1, maxName)
		}
		o.size += len(c.Key) + len(c.Limit.Name) + len(c.Limit.Zone) + chargeBytes
		if req.Charges != nil {
			o.held += len(c.Key)
		}
	}
	if o.size <= maxItem {
		return o, nil
	}
	if byID(req.Verb) {
		return nil, bucketring.Invalidf("call has about %d bytes, at most %d are allowed: name fewer ids", o.size, maxItem)
	}
	return nil, bucketring.Invalidf("call has about %d bytes, at most %d are allowed: send a hash of its key", o.size, maxItem)
}

// byID reports whether a call of this kind is about ids.
func byID(verb bucketring.Verb) bool {
	return verb == bucketring.VerbRenew || verb == bucketring.VerbRelease || verb == bucketring.VerbSettle
}

func (o *outgoing) addIDs() error {
	if len(o.req.IDs) == 0 {
		return bucketring.Invalidf("id is missing: name what to %v", o.req.Verb)
	}
	o.ids = make([][]byte, len(o.req.IDs))
	for i, text := range o.req.IDs {
		id, part, err := bucketring.ParseID(text)
		if err != nil {
			return err
		}
		if i > 0 && part != o.part {
			return bucketring.Invalidf("ids 1 and %d are of two partitions, which no one node holds", i+1)
		}
		o.ids[i], o.part = id[:], part
		o.size += idBytes
		o.held += idBytes
		if o.req.Verb == bucketring.VerbSettle { // its answer has the state of the limit
			o.size += toldBytes
		}
	}
	return nil
}

// charges returns how many charges a call has, and charge the one at i. Limits
// that came with the call are all of one key and cost.
func charges(req *bucketring.Request) int {
	if req.Charges != nil {
		return len(req.Charges)
	}
	return len(req.Limits)
}

func charge(req *bucketring.Request, i int) bucketring.Charge {
	if req.Charges != nil {
		return req.Charges[i]
	}
	return bucketring.Charge{Limit: &req.Limits[i], Key: req.Key, Cost: req.Cost}
}

// An itemOfOne is an item with one charge, in one piece of memory.
type itemOfOne struct {
	item    peerpb.Item
	charge  peerpb.Charge
	charges [1]*peerpb.Charge
}

// item writes the call. Before it, f defines what defs lacks.
func (o *outgoing) item(f *peerpb.Frame, defs map[bucketring.Limit]uint32) *peerpb.Item {
	one := new(itemOfOne)
	item := &one.item
	item.Id, item.Verb, item.Part, item.Each, item.Ids = o.id, uint32(o.req.Verb), o.part, o.req.Each, o.ids
	item.CostNanos, item.Version, item.HintGen, item.Token = o.req.CostNanos, o.req.Version, o.req.Hinted, []byte(o.req.Token)
	item.Args = o.req.Args
	if item.Charges = one.charges[:]; charges(o.req) != 1 {
		item.Charges = make([]*peerpb.Charge, charges(o.req))
	}
	if o.ids != nil { // else it is in the charges
		item.Cost = o.req.Cost
	}
	for i := range item.Charges {
		c := charge(o.req, i)
		no, known := defs[*c.Limit]
		if !known {
			no = uint32(len(defs))
			defs[*c.Limit] = no
			f.Defs = append(f.Defs, toDef(no, c.Limit))
		}
		m := &one.charge
		if i > 0 {
			m = new(peerpb.Charge)
		}
		m.Def, m.Key, m.Cost, m.Shadow, m.Force, m.Window = no, []byte(c.Key), c.Cost, c.Shadow, c.Force, c.Window
		if c.ID != (bucketring.ID{}) {
			m.Id = bytes.Clone(c.ID[:])
		}
		item.Charges[i] = m
	}
	return item
}

// request reads a call. Its limits are checked by who decides it.
func (l *link) request(item *peerpb.Item) (bucketring.Request, error) {
	req := bucketring.Request{
		Verb: bucketring.Verb(small(item.GetVerb())), Partition: item.GetPart(), Each: item.GetEach(),
		CostNanos: item.GetCostNanos(), Version: item.GetVersion(), Hinted: item.GetHintGen(), Token: string(item.GetToken()),
		Args: item.GetArgs(),
	}
	n := len(item.GetCharges())
	switch {
	case req.Verb > bucketring.VerbStep:
		return req, bucketring.Invalidf("unknown verb %d", req.Verb)
	case n > maxCharges:
		return req, bucketring.Invalidf("too many limits in one call")
	case byID(req.Verb):
		req.Cost = item.GetCost()
		var err error
		if req.IDs, err = texts(item); err != nil || n == 0 {
			return req, err
		}
	case n == 0 && !brings(req.Verb):
		return req, bucketring.Invalidf("limit is missing: a call to %v has charges", req.Verb)
	}
	limits, err := l.defined(item.GetCharges())
	if err != nil {
		return req, err
	}
	if plain(item, limits) {
		if n > 0 {
			req.Key, req.Cost = string(item.Charges[0].GetKey()), item.Charges[0].GetCost()
		}
		req.Limits = limits
		return req, nil
	}
	req.Charges, err = fromCharges(item, limits)
	return req, err
}

// defined returns the limits of charges, to be read only.
func (l *link) defined(charges []*peerpb.Charge) ([]bucketring.Limit, error) {
	var limits []bucketring.Limit
	for i, c := range charges {
		limit, ok := l.limits[c.GetDef()]
		switch {
		case !ok:
			return nil, bucketring.Invalidf("limit %d is not defined on this link", c.GetDef())
		case len(charges) == 1:
			return limit, nil // it is shared by all calls with it
		case i == 0:
			limits = make([]bucketring.Limit, 0, len(charges))
		}
		limits = append(limits, limit[0])
	}
	return limits, nil
}

// plain reports whether the call is one that a caller can make: limits that came
// with it, of no policy, and one key for all, which says where they are counted.
func plain(item *peerpb.Item, limits []bucketring.Limit) bool {
	if item.GetPart() != 0 || item.GetEach() || len(item.GetToken()) > 0 || !brings(bucketring.Verb(small(item.GetVerb()))) {
		return false
	}
	for i, c := range item.GetCharges() {
		first := item.Charges[0]
		if limits[i].ID != 0 && ofPolicy(&limits[i]) || c.GetShadow() || c.GetForce() || c.GetWindow() != 0 || len(c.GetId()) > 0 ||
			c.GetCost() != first.GetCost() || !bytes.Equal(c.GetKey(), first.GetKey()) {
			return false
		}
	}
	return true
}

// brings reports whether calls of a verb bring their limits along, else they have charges.
func brings(verb bucketring.Verb) bool {
	return verb <= bucketring.VerbReset || verb == bucketring.VerbStep
}

// ofPolicy reports whether a limit with an id is one of a policy, and not of a door.
func ofPolicy(l *bucketring.Limit) bool {
	return l.Algorithm != bucketring.Cell && l.Kind != bucketring.KindRegister
}

func fromCharges(item *peerpb.Item, limits []bucketring.Limit) ([]bucketring.Charge, error) {
	charges := make([]bucketring.Charge, len(limits))
	for i, c := range item.GetCharges() {
		if c.GetCost() < 0 && item.GetVerb() != uint32(bucketring.VerbAdd) {
			return nil, bucketring.Invalidf("cost is %d, it must be 0 or more", c.GetCost())
		}
		charges[i] = bucketring.Charge{
			Limit: &limits[i], Key: string(c.GetKey()), Cost: c.GetCost(), Shadow: c.GetShadow(), Force: c.GetForce(), Window: c.GetWindow(),
		}
		if n := copy(charges[i].ID[:], c.GetId()); len(c.GetId()) != n || n != 0 && n != len(charges[i].ID) {
			return nil, wrongID(c.GetId())
		}
	}
	return charges, nil
}

// texts returns the ids of an item as callers write them.
func texts(item *peerpb.Item) ([]string, error) {
	if len(item.GetIds()) == 0 {
		return nil, bucketring.Invalidf("id is missing")
	}
	if item.GetPart() > math.MaxUint16 {
		return nil, bucketring.Invalidf("partition %d is none of an id", item.GetPart())
	}
	ids := make([]string, len(item.GetIds()))
	for i, raw := range item.GetIds() {
		if len(raw) != len(bucketring.ID{}) {
			return nil, wrongID(raw)
		}
		ids[i] = bucketring.ID(raw).Text(item.GetPart())
	}
	return ids, nil
}

func wrongID(raw []byte) error {
	return bucketring.Invalidf("id has %d bytes, it must have %d", len(raw), len(bucketring.ID{}))
}
