// Package gubernator lets Gubernator's own client ask a real node. It has no code, only
// tests, and a module of its own: the client is in one package with Gubernator's server,
// which brings Kubernetes, etcd and older versions of what we use.
//
// Run with:
//
//	go -C internal/doortest/clients/gubernator test -count=1 ./...
//
// It builds the binary, unless BUCKETRING_BIN names one. The first time it compiles several
// hundred packages, for minutes.
package gubernator
