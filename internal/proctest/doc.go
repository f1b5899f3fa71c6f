// Package proctest breaks clusters of real processes and counts what that costs.
// It has no code, only tests: each starts the binary as an operator would, with
// sockets, TLS and disks, ends, pauses or cuts off nodes under load, and holds
// the answers that callers got against what was promised.
//
// Counts are promises and fail a test: tokens admitted beyond a limit, calls that
// failed, answers that were degraded in a planned change. Times depend on the
// machine and are only printed, each in a line that begins with its row of the
// acceptance table:
//
//	A3 over after one crash: promised <= 5 %, measured 1 % (worst key 1 beyond its limit of 100; …)
//
// Run with:
//
//	go test ./internal/proctest -processes -v                                once, short, without root
//	go test ./internal/proctest -processes -v -strict -runs 5                and print the worst of five
//	go test ./internal/proctest -processes -v -net -run 'Split|Silent|Loss'  cut networks, short
//	go test ./internal/proctest -processes -v -strict -long -timeout 1h      all of it, at full length
//
// With -strict a caller gives up after one second, and in planned changes an owner
// has half a second to answer. Without it both have more, so that a machine that
// is busy with something else breaks no promise; -budget 25ms insists on the
// default. BUCKETRING_BIN names a binary to test instead of the one that is built.
//
// Read next: cluster_test.go for the processes, load_test.go for the callers,
// audit_test.go for the counting, planned_test.go for the first tests.
package proctest
