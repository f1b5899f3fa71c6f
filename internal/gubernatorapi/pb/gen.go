// Package pb is the API of Gubernator for its clients, pb.gubernator.V1, as
// generated code. gubernator.proto says what each field means.
//
// The messages have Gubernator's names, so no process may also hold Gubernator's
// own. That is why the package is internal.
package pb

//go:generate sh ../../../.ci/protoc.sh internal/gubernatorapi/pb/gubernator.proto
