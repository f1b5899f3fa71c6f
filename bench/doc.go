// Package bench measures what a user would quote: decisions through package
// node, over links and over the public API, in one process and without any
// server running. It has no code, only benchmarks. Micro-benchmarks stand
// beside the code they measure, and rivals in the module bench/rivals.
//
// # Run
//
//	make bench report                                       # all, five times, rivals too, and a page of it
//	go test -run '^$' -bench . ./bench                      # all, once
//	go test -run '^$' -bench . -benchtime 1x ./bench        # do they still work
//	go test -run '^$' -bench . -count 10 ./bench >new.txt   # for a comparison
//	go tool -modfile=.ci/tools.mod benchstat old.txt new.txt
//	go tool -modfile=.ci/tools.mod benchstat -row /path,/keys -col /callers new.txt
//
// Compare old and new on one idle machine, in turns, and quote medians with
// their spread; results/README.md says how results are kept.
//
// # Names
//
//	Take/path=P/keys=K/callers=C   one limit that has room
//	Denied/…                       one that has nothing left
//	Scarce/…                       1000 a second for whoever comes first
//	TwoLimits/…                    two limits in a call
//	Algorithm/algorithm=A/…        each algorithm
//	Latency/path=P/rate=R          p50, p99 and p99.9 at R calls a second
//	Batch, Stream                  the public API's TakeBatch and TakeStream
//	Memory                         a million keys at rest
//	Collect                        the garbage of ten million keys
//	Floor/kind=F                   what no limiter can undercut on this machine
//
// A path is owned (the node that is asked decides), forwarded (another node
// decides, one hop over loopback TCP), public (gRPC over loopback TCP, a call each) or
// stream (likewise, all calls on one stream). Keys
// are hot (a single one), uniform or zipf (a million, s = 1.1), or distinct (64
// for each caller). Callers are goroutines, each waiting for its answer before
// it asks again: the number does not follow GOMAXPROCS, so that names mean the
// same on every machine.
//
// # Read
//
// Paths over the network count all parts: caller, gRPC and both nodes share the
// process, so that allocations are those of both ends. Time is wall time; a
// batch is one operation.
//
//	decisions/s        at this number of callers, a closed loop
//	cpu-ns/decision    user and system time of the process, collector included;
//	                   it varies far less than time, so compare it first
//	over-admitted      decisions beyond what the limit allowed: 0, else it fails
//	frames/decision    messages sent on the link; below 1 calls share them
//	bytes/key          live heap by the runtime's own figures
//	estimated-B/key    what the table counts for its bound MaxBytes
//
// Every benchmark keeps a ledger. At its end it asks for each key what was
// charged, and fails if more was admitted than charged, more than the limit
// allows for the time that passed, or if anything was decided without the owner.
//
// Nodes wait longer for each other here than in production, so that a busy
// machine makes a figure worse instead of ending in a fallback.
//
// Read next: take_test.go for the workloads, load_test.go for how they run.
package bench
