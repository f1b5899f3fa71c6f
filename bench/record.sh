#!/bin/sh
# Runs all benchmarks and writes what they print, and what machine it was, to a file:
# record.sh FILE [COUNT [BENCHTIME]]. The rivals run in the same call, so that all
# figures of a file belong together.
set -eu
cd "$(dirname "$0")/.."
out=$1 count=${2:-5} time=${3:-1s}
model=$(sed -n 's/^model name[[:space:]]*: //p' /proc/cpuinfo 2>/dev/null | head -1)
memory=$(awk '/^MemTotal/ {printf "%.0f GiB", $2 / 1048576}' /proc/meminfo 2>/dev/null)
load=$(cut -d' ' -f1 /proc/loadavg 2>/dev/null || echo unknown)
{
	echo "machine: $(nproc 2>/dev/null || sysctl -n hw.ncpu) cores of ${model:-unknown}, ${memory:-unknown memory}, load $load before"
	echo "kernel: $(uname -sr)"
	echo "go-version: $(go env GOVERSION)"
	echo "commit: $(git describe --tags --always --dirty)"
	echo "date: $(date -u +%Y-%m-%d)"
	echo "command: go test -run '^\$' -bench . -count $count -benchtime $time ./bench, and in bench/rivals"
	echo "Unit decisions/s better=higher"
	# The collector's benchmark has a heap of its own size: it needs one run, not five.
	go test -run '^$' -bench '^Benchmark[^C]' -count "$count" -benchtime "$time" -timeout 2h ./bench
	go test -run '^$' -bench '^BenchmarkCollect' -benchtime 5x -timeout 30m ./bench
	# In turn, not each five times: the machine's pace changes within minutes, and what is
	# compared must meet the same.
	for pass in $(seq "$count"); do
		go -C bench/rivals test -run '^$' -bench 'Take|Remote|Leased|Exhausted' -benchtime "$time" -timeout 2h . | sed 's/^BenchmarkTake/BenchmarkRivals/'
	done
	go -C bench/rivals test -run '^$' -bench 'Idle' -count "$count" -benchtime 1x -timeout 30m .
	# A virtual processor that sleeps takes as long to wake as a call does: loops of the
	# least priority keep all awake while single calls are timed.
	awake=
	for cpu in $(seq "$(nproc)"); do
		chrt --idle 0 timeout 1800 sh -c 'while :; do :; done' &
		awake="$awake $!"
	done
	go -C bench/rivals test -run '^$' -bench 'Unloaded|Forwarded' -count "$count" -benchtime "$time" -timeout 2h .
	kill $awake
} | tee "$out"
