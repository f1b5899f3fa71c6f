// model.go is a policy as it decides: names resolved to slots, amounts to limits,
// texts to templates. file.go makes it from YAML, match.go and answer.go use it.

package policy

import (
	"time"

	"github.com/bucketring/bucketring"
)

// The attributes with a fixed meaning have fixed slots.
const (
	slotMethod = iota
	slotPath
	slotPlan
	slotContentLength
	slotBearer
	fixedSlots
	maxSlots = 64 // attributes that one policy can name
)

// fixedNames are the names of the fixed slots, in their order.
var fixedNames = [fixedSlots]string{"method", "path", "plan", "content_length", "bearer"}

// A Policy is the limits of one namespace. It is immutable.
type Policy struct {
	namespace string
	file      string // where it comes from; empty if it was put at run time
	hash      uint64 // of its meaning
	doc       *document

	names    []string       // of attributes, by slot
	slots    map[string]int // the other way round
	identify []identified   // in an order in which lookups find what they need
	access   []access
	limits   []limit
	each     bool
	shard    []int // slots that place the limits of a caller together; nil for none
	fields   fields
	usage    *usage
	labels   []string
	notes    []Error // what is accepted and has no effect yet

	domain *Domain  // what a file in Envoy's dialect has instead of all this, else nil
	merged []string // further files of the domain
}

// Namespace returns the policy's name.
func (p *Policy) Namespace() string { return p.namespace }

// File returns the name of the file that the policy comes from.
func (p *Policy) File() string { return p.file }

// Domain returns what a file in Envoy's dialect says; nil for a policy in limits/v1. Only
// the Envoy door can answer calls to a domain.
func (p *Policy) Domain() *Domain { return p.domain }

// Hash identifies the policy's text: equal hashes, equal policies.
func (p *Policy) Hash() uint64 { return p.hash }

// Labels are the attributes that may become labels of metrics.
func (p *Policy) Labels() []string { return p.labels }

// Tables returns the names of the tables that lookups of the policy use.
func (p *Policy) Tables() (names []string) {
	for i := range p.identify {
		for j := range p.identify[i].sources {
			s := &p.identify[i].sources[j]
			if s.kind == sourceLookup && !contains(names, s.table) {
				names = append(names, s.table)
			}
		}
	}
	return names
}

// Notes tell what the policy asks for that has no effect yet.
func (p *Policy) Notes() []Error { return p.notes }

// A limit is one entry of limits, but for its amount.
type limit struct {
	name   string
	kind   bucketring.Kind
	when   when
	key    []int // slots that separate counters
	unit   string
	cost   cost
	scope  scope
	mode   mode
	shown  bool // takes part in "most restrictive"
	placed bool // together with the caller's other limits, by Policy.shard
	deny   deny

	byPlan    map[string]*value // nil if all plans have the same
	otherwise value             // plan unknown, or not listed
	overrides overrides
	burst     bool // the burst differs from the amount

	precision uint8
	per       time.Duration
	align     bucketring.Align
	zone      *time.Location
	base      bucketring.Limit // what all amounts share
}

// A value is what a plan or an override gives one limit.
type value struct {
	kind valueKind
	// limit is what a counter is held to; for valueCustom and valueDeny one with an
	// amount of 0, for valueUnlimited of a level or of leases one
	// without end, nil of what is not even counted.
	limit *bucketring.Limit
}

type valueKind uint8

const (
	valueDeny      valueKind = iota // denies, for want of a number
	valueNumber                     // limit.Amount
	valueUnlimited                  // never denies
	valueCustom                     // must come from an override, else denies
)

// A scope says who shares a counter.
type scope uint8

const (
	scopeCluster scope = iota
	scopeNode
	scopeConnection
)

// A mode says what a limit's verdict is worth.
type mode uint8

const (
	modeEnforce mode = iota
	modeShadow
	modeOff
)

// A cost says what one call costs a limit.
type cost struct {
	from costFrom
	slot int // of the attribute; for costReport of what is reserved, -1 for none
	// otherwise is the cost where the attribute is absent, in 10^-precision.
	otherwise int64
}

type costFrom uint8

const (
	costNumber costFrom = iota
	costAttr
	costContentLength
	costReport
)

// A when says to which calls something applies; the zero when to all.
type when struct {
	methods []string // nil for any
	paths   []glob
	plans   []string
	tests   []test
	number  int // among the policy's conditions; equal ones have one number
}

// A test is a condition on one attribute.
type test struct {
	slot   int
	op     testOp
	values []string // testIs: one of these
}

type testOp uint8

const (
	testIs testOp = iota
	testPresent
	testAbsent
)

// An access refuses calls before anything is counted.
type access struct {
	name string
	when when
	deny deny
}

// A deny says how a refusal looks.
type deny struct {
	status      int
	body        *template // nil is the built-in problem
	retryHeader bool      // Retry-After is sent
	full        bool      // basis: until the limit is wholly free again
	closeCode   int       // 0 for none
	closeReason string
}

// A fields says which header fields are written.
type fields struct {
	style  style
	delta  bool // X-RateLimit-Reset counts from now
	onDeny bool // none on admitted calls
}

type style uint8

const (
	styleXRateLimit style = iota
	styleIETF
	styleBoth
	styleNone
)

// A usage is the page on which a caller sees what it has used.
type usage struct {
	method, path string
	key          []int // slots that a caller must have
	limits       []int // indices of the limits that the body names
	body         *template
}

// An identified is one attribute with its sources in order.
type identified struct {
	slot    int
	sources []source
}
