// identify.go finds out who calls: from an HTTP request, and from tables that the
// application feeds.

package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/bucketring/bucketring"
)

// A source is one place where an attribute may come from.
type source struct {
	kind    sourceKind
	name    string // header, query parameter or descriptor
	scheme  string // word before the value of a header; empty for none
	sha256  bool   // the value is replaced by its hex digest
	path    pathParam
	trusted []netip.Prefix // hops whose X-Forwarded-For is believed
	v4, v6  int            // bits of an address that count
	table   string
	field   string
	by      int // slot of the attribute that names the row
}

type sourceKind uint8

const (
	sourceHeader sourceKind = iota
	sourceQuery
	sourcePathParam
	sourcePeerAddress
	sourceDescriptor
	sourceLookup
)

// An HTTPRequest is what a door knows of a request that asks for a decision.
type HTTPRequest struct {
	Method string
	Path   string // as it was sent, still escaped, with or without its query
	Query  string // raw
	Header http.Header
	Peer   netip.Addr // the other end of the connection
	Length int64      // of the body; -1 if unknown
}

// Rows finds a row of a lookup table, nil if there is none. A Set has them.
type Rows interface {
	Row(namespace, table, key string) map[string]string
}

// Identify makes attributes of an HTTP request: method, path, content_length,
// bearer, and what the policy's identify section finds. What sent has already
// is left as it is. It returns sent, or a new map if that is nil.
func (p *Policy) Identify(rows Rows, in *HTTPRequest, sent map[string]string) map[string]string {
	if sent == nil {
		sent = map[string]string{}
	}
	give := func(name, value string) {
		if _, ok := sent[name]; !ok && value != "" {
			sent[name] = value
		}
	}
	give("method", in.Method)
	give("path", in.Path)
	if in.Length >= 0 {
		give("content_length", strconv.FormatInt(in.Length, 10))
	}
	if token := afterScheme(in.Header.Get("Authorization"), "Bearer"); token != "" {
		give("bearer", digest(token))
	}
	if id := in.Header.Get("X-Request-Id"); len(id) <= MaxAttributeValue {
		give("request_id", id)
	}
	var a attributes
	a.read(p, sent)
	p.find(rows, in, &a)
	for slot, name := range p.names {
		if a.has(slot) {
			give(name, a.values[slot])
		}
	}
	return sent
}

// find fills the attributes that are absent. Without an HTTP request only tables and
// entries of descriptors can.
func (p *Policy) find(rows Rows, in *HTTPRequest, a *attributes) {
	rowPlan := ""
	for i := range p.identify {
		one := &p.identify[i]
		if a.has(one.slot) {
			continue
		}
		for j := range one.sources {
			value, plan := one.sources[j].value(p, rows, in, a)
			if rowPlan == "" {
				rowPlan = plan
			}
			if value != "" {
				a.set(one.slot, value)
				break
			}
		}
	}
	if rowPlan != "" && !a.has(slotPlan) {
		a.set(slotPlan, rowPlan)
	}
}

// value returns what the source says, and the plan of a row that it used.
func (s *source) value(p *Policy, rows Rows, in *HTTPRequest, a *attributes) (value, plan string) {
	switch s.kind {
	case sourceDescriptor:
		return a.sent[s.name], ""
	case sourceLookup:
		if rows == nil || !a.has(s.by) {
			return "", ""
		}
		row := rows.Row(p.namespace, s.table, a.values[s.by])
		return row[s.field], row["plan"]
	}
	if in == nil {
		return "", ""
	}
	switch s.kind {
	case sourceHeader:
		value = in.Header.Get(s.name)
		if s.scheme != "" {
			value = afterScheme(value, s.scheme)
		}
		if s.sha256 && value != "" {
			value = digest(value)
		}
	case sourceQuery:
		query, _ := url.ParseQuery(in.Query)
		value = query.Get(s.name)
	case sourcePathParam:
		value, _ = s.path.find(cleanPath(in.Path))
	case sourcePeerAddress:
		value = s.address(in)
	}
	return value, ""
}

// afterScheme returns what follows a word such as Bearer, in any case.
func afterScheme(header, scheme string) string {
	if len(header) <= len(scheme) || !strings.EqualFold(header[:len(scheme)], scheme) || header[len(scheme)] != ' ' {
		return ""
	}
	return strings.Trim(header[len(scheme):], " ")
}

func digest(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// address returns the caller's address, masked: that of the connection, or what
// X-Forwarded-For has to the left of hops that are trusted.
func (s *source) address(in *HTTPRequest) string {
	addr := in.Peer.Unmap()
	hops := strings.Split(strings.Join(in.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0 && s.trusts(addr); i-- {
		hop, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			break // nobody vouches for what stands further left
		}
		addr = hop.Unmap()
	}
	if !addr.IsValid() {
		return ""
	}
	bits := s.v6
	if addr.Is4() {
		bits = s.v4
	}
	prefix, err := addr.WithZone("").Prefix(bits)
	if err != nil {
		return ""
	}
	if bits == addr.BitLen() {
		return prefix.Addr().String()
	}
	return prefix.String()
}

func (s *source) trusts(addr netip.Addr) bool {
	for _, hops := range s.trusted {
		if hops.Contains(addr) {
			return true
		}
	}
	return false
}

// attributes are what one call says of itself, by the policy's slots.
type attributes struct {
	values  [maxSlots]string
	present uint64
	sent    map[string]string // as they came
}

func (a *attributes) has(slot int) bool { return a.present&(1<<slot) != 0 }

func (a *attributes) set(slot int, value string) {
	a.values[slot] = value
	a.present |= 1 << slot
}

// read takes what the policy knows of the attributes sent.
func (a *attributes) read(p *Policy, sent map[string]string) {
	a.sent = sent
	for slot, name := range p.names {
		if value, ok := sent[name]; ok {
			if slot == slotPath {
				value = cleanPath(value)
			}
			a.set(slot, value)
		}
	}
}

// Bounds of the attributes of a call. A path may be longer than other values.
const (
	MaxAttributes     = 32
	MaxAttributeName  = 64  // bytes
	MaxAttributeValue = 512 // bytes
	MaxPath           = 8 << 10
)

func checkAttributes(sent map[string]string) error {
	if len(sent) > MaxAttributes {
		return bucketring.Invalidf("%d attributes in one call, at most %d are allowed", len(sent), MaxAttributes)
	}
	for name, value := range sent {
		if name == "" || len(name) > MaxAttributeName {
			return bucketring.Invalidf("the name of an attribute has %d bytes, it must have 1 to %d", len(name), MaxAttributeName)
		}
		if len(value) > MaxAttributeValue && (name != "path" || len(value) > MaxPath) {
			return bucketring.Invalidf("attribute %q has %d bytes, at most %d are allowed: send a hash of it", name, len(value), MaxAttributeValue)
		}
	}
	return nil
}
