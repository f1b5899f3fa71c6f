package peerpb

import "google.golang.org/protobuf/proto"

// Bytes returns the state's encoding.
func (x *State) Bytes() ([]byte, error) { return proto.Marshal(x) }

// StateOf reads what Bytes has made.
func StateOf(b []byte) (*State, error) {
	x := &State{}
	return x, proto.Unmarshal(b, x)
}

// Bytes returns the message's encoding.
func (x *Msg) Bytes() ([]byte, error) { return proto.Marshal(x) }

// MsgOf reads what Bytes has made.
func MsgOf(b []byte) (*Msg, error) {
	x := &Msg{}
	return x, proto.Unmarshal(b, x)
}
