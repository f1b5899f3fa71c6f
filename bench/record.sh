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
	go -C bench/rivals test -run '^$' -bench 'Take|Remote' -count "$count" -benchtime "$time" -timeout 2h . | sed 's/^BenchmarkTake/BenchmarkRivals/'
} | tee "$out"
