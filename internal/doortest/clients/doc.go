// Package clients lets client libraries that are not ours ask a real node. It has no code,
// only tests, and a module of its own, because they have modules that the main one must not
// have. It imports nothing of ours: what it knows of a node is its doors.
//
//	redis_test.go     go-redis and rueidis, in both versions of the Redis protocol
//	spread_test.go    radix, and clients that believe they ask a cluster, or send scripts
//	scripts_test.go   Redis libraries of Node, PHP, Ruby and Python, in the clear and over TLS
//	python_test.go    gRPC's library for Python, over a stream too
//	envoy_test.go     the client that is generated from Envoy's own protos, with what
//	                  envoyproxy/ratelimit answered
//	ratelimit_test.go envoyproxy/ratelimit itself, with -ratelimit, which takes a minute to compile:
//	                  ratelimit.mod has its modules
//	grpcurl_test.go   grpcurl, by reflection and by our .proto files
//	gubernator/       Gubernator's own client, in one more module
//
// Run with:
//
//	go -C internal/doortest/clients test -count=1 ./...
//
// It builds the binary, unless BUCKETRING_BIN names one. All is on loopback, and in folders
// of its own.
package clients
