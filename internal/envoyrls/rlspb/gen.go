// Package rlspb is the part of Envoy's rate limit service v3 that bucketring uses, as
// generated code: messages and service have Envoy's names and numbers. It must not be in one
// process with Envoy's own generated code, which has the same names.
package rlspb

//go:generate sh ../../../.ci/protoc.sh internal/envoyrls/rlspb/rls.proto
