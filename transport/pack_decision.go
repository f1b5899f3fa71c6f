// pack_decision.go writes and reads decisions of the public API.

package transport

import (
	"errors"
	"math"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/transport/limitpb"
)

// appendAnswer writes the fields of a limitpb.Answer. err, if it is not nil, comes from
// toStatus.
func appendAnswer(b []byte, d *bucketring.Decision, err error) []byte {
	if err == nil {
		b, mark := begin(b, 1)
		return end(appendDecision(b, d), mark)
	}
	e := toError(err)
	b, mark := begin(b, 2)
	b = appendNumber(b, 1, uint64(e.GetCode()))
	b = appendText(b, 2, strings.ToValidUTF8(e.GetDetail(), "\ufffd"))
	return end(appendText(b, 3, e.GetReason()), mark)
}

// appendDecision writes the fields of a limitpb.Decision.
func appendDecision(b []byte, d *bucketring.Decision) []byte {
	b = appendBool(b, 1, d.Allowed)
	b = appendNumber(b, 2, uint64(d.Limit))
	b = appendNumber(b, 3, uint64(d.Remaining))
	b = appendNumber(b, 4, uint64(d.ResetAt))
	b = appendDouble(b, 5, d.ResetAfter.Seconds())
	b = appendRetry(b, d.RetryAfter)
	b = appendText(b, 7, d.Name)
	if d.Limits == nil {
		b = appendState(b, &d.LimitState)
	}
	for i := range d.Limits {
		b = appendState(b, &d.Limits[i])
	}
	for _, id := range d.Leases {
		b = protowire.AppendString(appendTag(b, 9, protowire.BytesType), id)
	}
	b = appendText(b, 10, d.Reservation)
	b = appendText(b, 11, d.Source.String())
	b = appendBool(b, 12, d.Degraded)
	b = appendText(b, 13, d.Node)
	b = appendText(b, 14, d.Owner)
	if d.Response != nil {
		raw, err := proto.Marshal(toResponse(d.Response))
		if err == nil { // policies are UTF-8
			b = protowire.AppendBytes(appendTag(b, 15, protowire.BytesType), raw)
		}
	}
	return appendNumber(b, 16, uint64(d.Precision))
}

// appendRetry writes seconds, rounded up, where waiting helps.
func appendRetry(b []byte, after time.Duration) []byte {
	var seconds int64
	if retrySeconds(&seconds, after) == nil {
		return b
	}
	return appendPresent(b, 6, uint64(seconds))
}

// appendState writes a limitpb.LimitState as a limit of a decision.
func appendState(b []byte, s *bucketring.LimitState) []byte {
	b, mark := begin(b, 8)
	b = appendText(b, 1, s.Name)
	b = appendBool(b, 2, s.Allowed)
	b = appendNumber(b, 3, uint64(s.Limit))
	b = appendNumber(b, 4, uint64(s.Remaining))
	b = appendNumber(b, 5, uint64(s.ResetAt))
	b = appendRetry(b, s.RetryAfter)
	b = appendNumber(b, 7, uint64(s.ResetAfter))
	b = appendNumber(b, 8, uint64(s.RetryAfter))
	b = appendNumber(b, 9, uint64(s.Used))
	b = appendNumber(b, 10, uint64(s.Precision))
	b = appendText(b, 11, s.Kind.String())
	b = appendText(b, 12, s.Unit)
	return end(appendNumber(b, 13, uint64(s.NextAfter)), mark)
}

// A decisionReader reads answers. It remembers the names that come again and again. The zero
// value is ready; it belongs to one goroutine.
type decisionReader struct{ names map[string]string }

// maxNames and maxNameLen bound what is remembered.
const (
	maxNames   = 1024
	maxNameLen = 128
)

// name returns the text of a field, mostly without a copy.
func (r *decisionReader) name(f *field) (string, error) {
	if known, ok := r.names[string(f.bytes)]; ok {
		return known, nil
	}
	var text string
	if err := f.text(&text); err != nil {
		return "", err
	}
	if len(text) > maxNameLen {
		return text, nil
	}
	if r.names == nil || len(r.names) >= maxNames {
		r.names = map[string]string{}
	}
	r.names[text] = text
	return text, nil
}

// A cameBack is an answer to a call of a stream.
type cameBack struct {
	id       uint64
	decision bucketring.Decision
	failed   error
	to       *calling // for whoever settles it
}

// readStream reads a limitpb.StreamResponse and appends its answers to came.
func (r *decisionReader) readStream(b []byte, came []cameBack) ([]cameBack, error) {
	return r.readOne(b, came, true)
}

// readOne reads the first answer of a message, which holds the others, or one of those.
func (r *decisionReader) readOne(b []byte, came []cameBack, first bool) (_ []cameBack, err error) {
	no := len(came)
	if no > maxBatch {
		return came, errors.New("transport: more answers in a message than it may have calls")
	}
	came = append(came, cameBack{})
	for f := (field{}); len(b) > 0; {
		if b, err = f.next(b); err != nil {
			return came, err
		}
		switch one := &came[no]; {
		case f.is(1, protowire.VarintType):
			one.id = f.value
		case f.is(2, protowire.BytesType):
			one.failed, err = r.readAnswer(f.bytes, &one.decision)
		case f.is(3, protowire.BytesType) && first:
			came, err = r.readOne(f.bytes, came, false)
		}
		if err != nil {
			return came, err
		}
	}
	return came, nil
}

// readAnswer reads a limitpb.Answer: a decision, or what the call has failed with.
func (r *decisionReader) readAnswer(b []byte, d *bucketring.Decision) (failed, err error) {
	for f := (field{}); len(b) > 0; {
		if b, err = f.next(b); err != nil {
			return nil, err
		}
		switch {
		case f.is(1, protowire.BytesType):
			*d = bucketring.Decision{}
			failed, err = nil, r.readDecision(f.bytes, d)
		case f.is(2, protowire.BytesType):
			*d = bucketring.Decision{}
			var e limitpb.Error
			err = proto.Unmarshal(f.bytes, &e)
			failed = fromCode(codes.Code(e.GetCode()), e.GetReason(), e.GetDetail())
		}
		if err != nil {
			return nil, err
		}
	}
	return failed, nil
}

// readDecision reads a limitpb.Decision into d, which is empty.
func (r *decisionReader) readDecision(b []byte, d *bucketring.Decision) (err error) {
	var policy string
	var room [1]bucketring.LimitState
	states := room[:0]
	for f := (field{}); len(b) > 0; {
		if b, err = f.next(b); err != nil {
			return err
		}
		switch {
		case f.is(1, protowire.VarintType):
			d.Allowed = f.value != 0
		case f.is(12, protowire.VarintType):
			d.Degraded = f.value != 0
		case f.kind != protowire.BytesType: // the limits have it, too
		case f.no == 7:
			policy, err = r.name(&f)
		case f.no == 8:
			states = append(states, bucketring.LimitState{})
			err = r.readState(f.bytes, &states[len(states)-1])
		case f.no == 9:
			var id string
			err = f.text(&id)
			d.Leases = append(d.Leases, id)
		case f.no == 10:
			err = f.text(&d.Reservation)
		case f.no == 11:
			var source string
			source, err = r.name(&f)
			d.Source = sourceNamed(source)
		case f.no == 13:
			d.Node, err = r.name(&f)
		case f.no == 14:
			d.Owner, err = r.name(&f)
		case f.no == 15:
			var m limitpb.Response
			err = proto.Unmarshal(f.bytes, &m)
			d.Response = fromResponse(&m)
		}
		if err != nil {
			return err
		}
	}
	describeBy(d, policy, states)
	return nil
}

// describeBy has a decision described by the limit with a name. Where no limit has it, it is
// that of an access rule, which refuses for ever.
func describeBy(d *bucketring.Decision, policy string, states []bucketring.LimitState) {
	d.Name = policy
	described := false
	for i := range states {
		if states[i].Name == policy {
			d.LimitState, described = states[i], true
		}
	}
	switch {
	case described && len(states) == 1:
		return
	case !described && policy != "" && !d.Allowed:
		d.RetryAfter = bucketring.Never
	}
	d.Limits = append(make([]bucketring.LimitState, 0, len(states)), states...) // none is a list too: that of a caller without limits
}

// readState reads a limitpb.LimitState into s, which is empty.
func (r *decisionReader) readState(b []byte, s *bucketring.LimitState) (err error) {
	for f := (field{}); len(b) > 0; {
		if b, err = f.next(b); err != nil {
			return err
		}
		if f.kind == protowire.BytesType {
			switch f.no {
			case 1:
				s.Name, err = r.name(&f)
			case 11:
				var kind string
				kind, err = r.name(&f)
				s.Kind = kindNamed(kind)
			case 12:
				s.Unit, err = r.name(&f)
			}
			if err != nil {
				return err
			}
			continue
		}
		if f.kind != protowire.VarintType {
			continue
		}
		switch f.no {
		case 2:
			s.Allowed = f.value != 0
		case 3:
			s.Limit = int64(f.value)
		case 4:
			s.Remaining = int64(f.value)
		case 5:
			s.ResetAt = int64(f.value)
		case 7:
			s.ResetAfter = time.Duration(f.value)
		case 8:
			s.RetryAfter = time.Duration(f.value)
		case 9:
			s.Used = int64(f.value)
		case 10:
			s.Precision = small(uint32(min(f.value, math.MaxUint32)))
		case 13:
			s.NextAfter = time.Duration(f.value)
		}
	}
	return nil
}

func sourceNamed(name string) bucketring.Source {
	for source := bucketring.SourceOwner; source <= bucketring.SourceFallbackClosed; source++ {
		if source.String() == name {
			return source
		}
	}
	return bucketring.SourceOwner
}
