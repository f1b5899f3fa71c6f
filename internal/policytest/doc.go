// Package policytest runs test scripts against policies, on a clock that only the
// script moves.
//
// # Model
//
// A script ("limits-test/v1") names a policy and has tests; each test starts with
// empty counters and goes through steps: calls with what they must answer, time
// that passes, leases, settlements, another policy, other rows. [Run] reads the
// script, carries its tests out on nodes of their own and reports what differed.
//
//	script.go, read.go   YAML becomes steps; every key must be known
//	run.go, nodes.go     one test: its clock, its nodes, what it remembers
//	call.go, leases.go, connection.go, reload.go   the steps
//	expect.go, body.go   what an answer must be, and how it differs
//	report.go            what people and programs read
//
// # What it does not do
//
// It asks its nodes, one unless Options say more, without a network and without
// waiting: how calls travel in a cluster is tested elsewhere. It judges answers and changes none: whatever a
// script sees is what [node.Node] says.
//
// Run keeps nothing and may be called from several goroutines.
//
// Read next: run.go, then script.go.
package policytest
