// golden_test.go keeps the bytes of every field of every message. A changed line
// breaks clusters in the middle of an upgrade, or clients; lines are only added.

package transport_test

import (
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/bucketring/bucketring/transport/limitpb"
	"github.com/bucketring/bucketring/transport/peerpb"
)

var update = flag.Bool("update", false, "rewrite the files in testdata; read the diff before you commit it")

func TestGoldenBytes(t *testing.T) {
	for name, file := range map[string]protoreflect.FileDescriptor{
		"peer.golden":  (&peerpb.Frame{}).ProtoReflect().Descriptor().ParentFile(),
		"limit.golden": (&limitpb.TakeRequest{}).ProtoReflect().Descriptor().ParentFile(),
	} {
		var b strings.Builder
		for i := range file.Messages().Len() {
			fields := file.Messages().Get(i).Fields()
			for j := range fields.Len() {
				bytes, err := proto.MarshalOptions{Deterministic: true}.Marshal(sample(t, fields.Get(j), 0).Interface())
				if err != nil {
					t.Fatal(err)
				}
				fmt.Fprintf(&b, "%s %x\n", fields.Get(j).FullName(), bytes)
			}
		}
		checkGolden(t, name, b.String())
	}
}

// sample makes a message in which one field is set, and everything in that.
func sample(t *testing.T, field protoreflect.FieldDescriptor, depth int) protoreflect.Message {
	m := empty(t, field.ContainingMessage().FullName())
	fill(t, m, field, depth)
	return m
}

func empty(t *testing.T, name protoreflect.FullName) protoreflect.Message {
	t.Helper()
	kind, err := protoregistry.GlobalTypes.FindMessageByName(name)
	if err != nil {
		t.Fatal(err)
	}
	return kind.New()
}

func fill(t *testing.T, m protoreflect.Message, field protoreflect.FieldDescriptor, depth int) {
	switch {
	case field.IsMap():
		entries := m.Mutable(field).Map()
		entries.Set(protoreflect.ValueOfString("plan").MapKey(), protoreflect.ValueOfString("free"))
	case field.IsList():
		list := m.Mutable(field).List()
		for range 2 {
			list.Append(value(t, field, depth))
		}
	default:
		m.Set(field, value(t, field, depth))
	}
}

// value differs for each number of a field, and needs more than one byte.
func value(t *testing.T, field protoreflect.FieldDescriptor, depth int) protoreflect.Value {
	n := 1000 + int64(field.Number())
	switch field.Kind() {
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(true)
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(protoreflect.EnumNumber(field.Enum().Values().Len() - 1))
	case protoreflect.Int32Kind, protoreflect.Sint32Kind:
		return protoreflect.ValueOfInt32(int32(-n))
	case protoreflect.Int64Kind, protoreflect.Sint64Kind:
		return protoreflect.ValueOfInt64(-n << 40)
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		return protoreflect.ValueOfUint32(uint32(n << 20))
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return protoreflect.ValueOfUint64(uint64(n << 40))
	case protoreflect.DoubleKind:
		return protoreflect.ValueOfFloat64(float64(n) + 0.5)
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(fmt.Sprint("text ", n))
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes([]byte{0, 0xff, byte(n)})
	case protoreflect.MessageKind:
		inner := empty(t, field.Message().FullName())
		for i := range inner.Descriptor().Fields().Len() {
			if f := inner.Descriptor().Fields().Get(i); depth < 2 && f.ContainingOneof() == nil {
				fill(t, inner, f, depth+1)
			}
		}
		return protoreflect.ValueOfMessage(inner)
	}
	t.Fatalf("%s has the kind %v, for which there is no sample", field.FullName(), field.Kind())
	return protoreflect.Value{}
}

// checkGolden wants all lines of the file in got, and no others. The bytes of the
// file must mean today what they meant then.
func checkGolden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (go test ./transport -update writes it)", err)
	}
	now := map[string]bool{}
	for line := range strings.Lines(got) {
		now[line] = true
	}
	for line := range strings.Lines(string(want)) {
		if !now[line] {
			t.Errorf("%s: %s is written otherwise now: that breaks running nodes and clients", name, strings.TrimSpace(line))
		}
		delete(now, line)
		decodes(t, strings.TrimSpace(line))
	}
	for line := range now {
		t.Errorf("%s lacks %s (go test ./transport -update adds it)", name, strings.TrimSpace(line))
	}
}

// decodes reads the bytes of a line with the code of today.
func decodes(t *testing.T, line string) {
	t.Helper()
	field, text, _ := strings.Cut(line, " ")
	bytes, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	descriptor, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(field))
	if err != nil {
		t.Errorf("%s: %v", field, err)
		return
	}
	f := descriptor.(protoreflect.FieldDescriptor)
	m := empty(t, f.ContainingMessage().FullName())
	if err := proto.Unmarshal(bytes, m.Interface()); err != nil {
		t.Errorf("%s cannot be read: %v", field, err)
	}
	if want := sample(t, f, 0); !proto.Equal(m.Interface(), want.Interface()) {
		t.Errorf("%s is read as %v, want %v", field, m, want)
	}
}
