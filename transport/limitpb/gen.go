// Package limitpb is the public gRPC API, bucketring.v1, as generated code.
// limit.proto says what each field means.
package limitpb

//go:generate sh ../../.ci/protoc.sh transport/limitpb/limit.proto
