// Package peerpb is the protocol between nodes as generated code: links that
// carry calls and their verdicts. peer.proto says what each field means. It is
// registered on the peer listener only, never where clients reach it.
package peerpb

//go:generate sh ../../.ci/protoc.sh transport/peerpb/peer.proto
