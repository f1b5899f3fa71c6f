package peerpb

import "google.golang.org/protobuf/proto"

// Bytes returns the state's encoding.
func (x *State) Bytes() ([]byte, error) { return proto.Marshal(x) }

// StateOf reads what Bytes has made.
func StateOf(b []byte) (*State, error) {
	x := &State{}
	return x, proto.Unmarshal(b, x)
}
