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

// checkGolden wants all lines of the file in got, and no others. Where a field has
// messages in it, a line from before these grew stays: its bytes must be read and
// written as they were.
func checkGolden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	bytes, err := os.ReadFile(path)
	if err != nil && !*update {
		t.Fatalf("%v (go test ./transport -update writes it)", err)
	}
	file := string(bytes)
	if *update {
		file = merged(file, got)
		if err := os.WriteFile(path, []byte(file), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	now := map[string]bool{}
	for line := range strings.Lines(got) {
		now[line] = true
	}
	for line := range strings.Lines(file) {
		checkLine(t, strings.TrimSpace(line), now[line])
		delete(now, line)
	}
	for line := range now {
		t.Errorf("%s lacks %s (go test ./transport -update adds it)", name, strings.TrimSpace(line))
	}
}

// merged has the lines of both, those of one field together and the older first.
func merged(file, got string) string {
	var b strings.Builder
	for line := range strings.Lines(got) {
		field, _, _ := strings.Cut(line, " ")
		for old := range strings.Lines(file) {
			if strings.HasPrefix(old, field+" ") && old != line {
				b.WriteString(old)
			}
		}
		b.WriteString(line)
	}
	return b.String()
}

// checkLine reads the bytes of a line with the code of today, which writes the
// sample so if current is set.
func checkLine(t *testing.T, line string, current bool) {
	t.Helper()
	name, text, _ := strings.Cut(line, " ")
	bytes, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	descriptor, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(name))
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return
	}
	field := descriptor.(protoreflect.FieldDescriptor)
	m := empty(t, field.ContainingMessage().FullName())
	if err := proto.Unmarshal(bytes, m.Interface()); err != nil {
		t.Errorf("%s cannot be read: %v", name, err)
	}
	if current {
		if want := sample(t, field, 0); !proto.Equal(m.Interface(), want.Interface()) {
			t.Errorf("%s is read as %v, want %v", name, m, want)
		}
		return
	}
	again, err := proto.MarshalOptions{Deterministic: true}.Marshal(m.Interface())
	if err != nil || field.Message() == nil || hex.EncodeToString(again) != text || unknown(m) {
		t.Errorf("%s is written otherwise now: that breaks running nodes and clients", line)
	}
}

// unknown reports whether m or a message in it has bytes that no field explains.
func unknown(m protoreflect.Message) (found bool) {
	found = len(m.GetUnknown()) > 0
	m.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		switch {
		case field.Message() == nil || field.IsMap():
		case field.IsList():
			for i := range value.List().Len() {
				found = found || unknown(value.List().Get(i).Message())
			}
		default:
			found = found || unknown(value.Message())
		}
		return !found
	})
	return found
}
