// pack_request.go writes and reads requests of the public API, those of many callers in a
// message.

package transport

import (
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/bucketring/bucketring"
)

// A streamCall is one request of a stream or batch.
type streamCall struct {
	id      uint64
	verb    int32 // of limitpb
	budget  time.Duration
	req     bucketring.Request
	cost    bool  // it says one
	invalid error // of the text of its limits
}

// streamCalls are the requests of one message. They are used again for the next one.
type streamCalls struct {
	parser *parser
	calls  []streamCall
	count  int  // of requests beside the first one, also of those that are too many
	nested bool // one of these has further ones
}

// readStream reads a limitpb.StreamRequest.
func (c *streamCalls) readStream(b []byte) error {
	c.calls, c.count, c.nested = append(c.calls[:0], streamCall{}), 0, false
	if err := c.readOne(0, b, false); err != nil {
		return err
	}
	c.finish()
	return nil
}

// readBatch reads a limitpb.TakeBatchRequest.
func (c *streamCalls) readBatch(b []byte) (err error) {
	c.calls, c.count = c.calls[:0], 0
	for f := (field{}); len(b) > 0; {
		if b, err = f.next(b); err != nil {
			return err
		}
		if !f.is(1, protowire.BytesType) {
			continue
		}
		if c.count++; c.count > maxBatch {
			continue // they are refused
		}
		c.calls = append(c.calls, streamCall{})
		if err := c.parser.readTake(&c.calls[len(c.calls)-1], f.bytes); err != nil {
			return err
		}
	}
	c.finish()
	return nil
}

// forget lets go of what the calls have.
func (c *streamCalls) forget() { clear(c.calls) }

// keptCalls bounds the memory that a stream keeps for the calls of a message.
const keptCalls = packedCalls

// finish gives a cost to requests that say none.
func (c *streamCalls) finish() {
	for i := range c.calls {
		c.calls[i].finish()
	}
}

func (c *streamCall) finish() {
	if !c.cost && c.req.CostNanos == 0 {
		c.req.Cost = 1
	}
}

// readOne reads a request into the i-th place.
func (c *streamCalls) readOne(i int, b []byte, further bool) (err error) {
	for f := (field{}); len(b) > 0; {
		if b, err = f.next(b); err != nil {
			return err
		}
		switch one := &c.calls[i]; {
		case f.is(1, protowire.VarintType):
			one.id = f.value
		case f.is(2, protowire.VarintType):
			one.verb = int32(f.value)
		case f.is(3, protowire.BytesType):
			if err := c.parser.readTake(one, f.bytes); err != nil {
				return err
			}
		case f.is(4, protowire.BytesType) && further:
			c.nested = true
		case f.is(4, protowire.BytesType):
			if c.count++; c.count > maxBatch {
				continue
			}
			c.calls = append(c.calls, streamCall{})
			if err := c.readOne(len(c.calls)-1, f.bytes, true); err != nil {
				return err
			}
		case f.is(5, protowire.VarintType):
			one.budget = time.Duration(f.value)
		}
	}
	return nil
}

// readTake reads a limitpb.TakeRequest. The error is of the message; that of its limits is
// the call's.
func (p *parser) readTake(c *streamCall, b []byte) (err error) {
	var limits []byte
	for f := (field{}); len(b) > 0; {
		if b, err = f.next(b); err != nil {
			return err
		}
		if f.kind == protowire.VarintType {
			switch f.no {
			case 3:
				c.req.Cost, c.cost = int64(f.value), true
			case 6:
				c.req.CostNanos = int32(protowire.DecodeZigZag(f.value & 0xffffffff))
			}
			continue
		}
		if f.kind != protowire.BytesType {
			continue
		}
		switch f.no {
		case 1:
			err = f.text(&c.req.Key)
		case 2:
			if limits = f.bytes; !utf8.Valid(limits) {
				err = errWire
			}
		case 4:
			err = f.text(&c.req.Namespace)
		case 5:
			err = readAttribute(&c.req, f.bytes)
		case 7:
			err = f.text(&c.req.Token)
		}
		if err != nil {
			return err
		}
	}
	if len(limits) > 0 { // else the node says what is missing
		p.readLimits(c, limits)
	}
	return nil
}

func (p *parser) readLimits(c *streamCall, text []byte) {
	limits, ok := p.known(text)
	if !ok {
		limits, c.invalid = p.parse(string(text))
	}
	c.req.Limits = limits
}

func readAttribute(req *bucketring.Request, b []byte) (err error) {
	var name, value string
	for f := (field{}); len(b) > 0; {
		if b, err = f.next(b); err != nil {
			return err
		}
		switch {
		case f.is(1, protowire.BytesType):
			err = f.text(&name)
		case f.is(2, protowire.BytesType):
			err = f.text(&value)
		}
		if err != nil {
			return err
		}
	}
	if req.Attributes == nil {
		req.Attributes = map[string]string{}
	}
	req.Attributes[name] = value
	return nil
}

// appendCall writes the fields of a limitpb.StreamRequest.
func (w *writer) appendCall(b []byte, id uint64, budget time.Duration, req *bucketring.Request) []byte {
	b = appendNumber(b, 1, id)
	b = appendNumber(b, 2, uint64(req.Verb))
	b, mark := begin(b, 3)
	b = end(w.appendTake(b, req), mark)
	return appendNumber(b, 5, uint64(budget))
}

// appendTake writes the fields of a limitpb.TakeRequest.
func (w *writer) appendTake(b []byte, req *bucketring.Request) []byte {
	b = appendText(b, 1, req.Key)
	b = appendText(b, 2, w.write(req.Limits))
	b = appendPresent(b, 3, uint64(req.Cost))
	b = appendText(b, 4, req.Namespace)
	for name, value := range req.Attributes {
		var mark int
		b, mark = begin(b, 5)
		b = end(appendText(appendText(b, 1, name), 2, value), mark)
	}
	b = appendNumber(b, 6, protowire.EncodeZigZag(int64(req.CostNanos)))
	return appendText(b, 7, req.Token)
}
