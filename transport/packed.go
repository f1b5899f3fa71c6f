// packed.go lets messages that carry many calls skip the generated types: they are written
// from what they mean and read into it. On the wire they are the messages of limitpb; a test
// compares each with what the generated code makes of it.

package transport

import (
	"errors"
	"fmt"
	"math"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/runtime/protoiface"
)

// A packed is a message as bytes. gRPC's own codec takes it for the generated message that
// it stands for.
type packed struct {
	protoreflect.Message        // the generated one, empty
	raw                  []byte // what is sent, or was received; used again
}

// ProtoReflect implements proto.Message.
func (p *packed) ProtoReflect() protoreflect.Message { return p }

// Interface is the other way.
func (p *packed) Interface() protoreflect.ProtoMessage { return p }

// ProtoMethods is how package proto finds out that a message writes and reads itself.
func (p *packed) ProtoMethods() *protoiface.Methods { return &packedMethods }

// Reset does nothing: what is received replaces what was there.
func (p *packed) Reset() {}

var packedMethods = protoiface.Methods{
	Flags: protoiface.SupportMarshalDeterministic | protoiface.SupportUnmarshalDiscardUnknown,
	Size: func(in protoiface.SizeInput) protoiface.SizeOutput {
		return protoiface.SizeOutput{Size: len(in.Message.(*packed).raw)}
	},
	Marshal: func(in protoiface.MarshalInput) (protoiface.MarshalOutput, error) {
		return protoiface.MarshalOutput{Buf: append(in.Buf, in.Message.(*packed).raw...)}, nil
	},
	Unmarshal: func(in protoiface.UnmarshalInput) (protoiface.UnmarshalOutput, error) {
		p := in.Message.(*packed)
		p.raw = append(p.raw[:0], in.Buf...) // the bytes go back to gRPC
		return protoiface.UnmarshalOutput{Flags: protoiface.UnmarshalInitialized}, nil
	},
	CheckInitialized: func(protoiface.CheckInitializedInput) (protoiface.CheckInitializedOutput, error) {
		return protoiface.CheckInitializedOutput{}, nil
	},
}

// A field is one field of a message as it lies on the wire: a number for varints and fixed
// ones, bytes for the others.
type field struct {
	no    protowire.Number
	kind  protowire.Type
	value uint64
	bytes []byte
}

var errWire = errors.New("not a message of this API")

// next takes the first field off b.
func (f *field) next(b []byte) (rest []byte, err error) {
	var n int
	if f.no, f.kind, n = protowire.ConsumeTag(b); n < 0 {
		return nil, errWire
	}
	switch b = b[n:]; f.kind {
	case protowire.VarintType:
		f.value, n = protowire.ConsumeVarint(b)
	case protowire.BytesType:
		f.bytes, n = protowire.ConsumeBytes(b)
	case protowire.Fixed64Type:
		f.value, n = protowire.ConsumeFixed64(b)
	default:
		n = protowire.ConsumeFieldValue(f.no, f.kind, b) // no field of ours
		f.no = 0
	}
	if n < 0 {
		return nil, errWire
	}
	return b[n:], nil
}

// is reports whether the field has a number and a type. One of another type is unknown.
func (f *field) is(no protowire.Number, kind protowire.Type) bool {
	return f.no == no && f.kind == kind
}

// text copies a string.
func (f *field) text(to *string) error {
	if !utf8.Valid(f.bytes) {
		return fmt.Errorf("%w: field %d is not UTF-8", errWire, f.no)
	}
	*to = string(f.bytes)
	return nil
}

// appendTag begins a field. Nearly all tags have one byte.
func appendTag(b []byte, no protowire.Number, kind protowire.Type) []byte {
	if no < 16 {
		return append(b, byte(no)<<3|byte(kind))
	}
	return protowire.AppendTag(b, no, kind)
}

func appendText(b []byte, no protowire.Number, s string) []byte {
	if s == "" {
		return b
	}
	if b = appendTag(b, no, protowire.BytesType); len(s) < 0x80 {
		return append(append(b, byte(len(s))), s...)
	}
	return protowire.AppendString(b, s)
}

// appendNumber leaves zero out, as all fields do that need not be present.
func appendNumber(b []byte, no protowire.Number, n uint64) []byte {
	if n == 0 {
		return b
	}
	return appendPresent(b, no, n)
}

func appendPresent(b []byte, no protowire.Number, n uint64) []byte {
	if b = appendTag(b, no, protowire.VarintType); n < 0x80 {
		return append(b, byte(n))
	}
	return protowire.AppendVarint(b, n)
}

func appendBool(b []byte, no protowire.Number, is bool) []byte {
	if !is {
		return b
	}
	return appendPresent(b, no, 1)
}

func appendDouble(b []byte, no protowire.Number, x float64) []byte {
	if x == 0 {
		return b
	}
	return protowire.AppendFixed64(appendTag(b, no, protowire.Fixed64Type), math.Float64bits(x))
}

// lengthSize is the room that begin leaves for a length: enough for nearly all messages.
const lengthSize = 2

// begin begins a message within another one, whose end closes it.
func begin(b []byte, no protowire.Number) (grown []byte, mark int) {
	b = appendTag(b, no, protowire.BytesType)
	return append(b, 0, 0), len(b)
}

// end writes the length of the message that began at mark. A varint may be longer than it
// must be.
func end(b []byte, mark int) []byte {
	size := uint64(len(b) - mark - lengthSize)
	if size < 1<<14 {
		b[mark], b[mark+1] = byte(size)|0x80, byte(size>>7)
		return b
	}
	var length [10]byte
	n := len(protowire.AppendVarint(length[:0], size))
	b = append(b, length[:n-lengthSize]...)
	copy(b[mark+n:], b[mark+lengthSize:])
	copy(b[mark:], protowire.AppendVarint(length[:0], size))
	return b
}
