#!/usr/bin/env bash
# Counts the machine instructions of the takes that matter most, which do not depend on
# how busy the machine is, and fails if one is more than 3 % off bench/instructions.txt.
# With "update" it writes that file: say why in the commit. Needs valgrind.
set -euo pipefail
cd "$(dirname "$0")/.."

file=bench/instructions.txt
few=20000 many=120000
if ! command -v valgrind >/dev/null; then
	echo "skipped: valgrind is missing, so instructions are not counted"
	exit 0
fi
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# run prints how many instructions a benchmark of package node needs for so many rounds. Some
# versions of valgrind do not know rdtscp, by which the runtime measures waits for locks.
run() {
	GOGC=off GODEBUG=asyncpreemptoff=1,cpu.rdtscp=off valgrind --tool=callgrind --callgrind-out-file=/dev/null \
		"$tmp/node.test" -test.run '^$' -test.bench "$1" -test.cpu 1 -test.benchtime "${2}x" >"$tmp/out" 2>&1 ||
		{ cat "$tmp/out" >&2; return 1; }
	grep -q "^Benchmark.* $2" <(tr '\t' ' ' <"$tmp/out") || { echo "no benchmark is called $1" >&2; return 1; }
	awk '/Collected/ {print $4}' "$tmp/out"
}

go test -vet=off -c -o "$tmp/node.test" ./node
{
	echo "# Instructions of one call, benchmarks of package node. make instructions compares."
	echo "# $(go env GOARCH) $(go env GOVERSION)"
	for name in OwnedHotKey/token_bucket OwnedHotKey/fixed_window OwnedDenied/1 OwnedTwoLimits/2 OwnedAllow/key OwnedAllow/prepared; do
		pattern="^Benchmark${name%/*}\$/^${name#*/}\$"
		a=$(run "$pattern" $few)
		b=$(run "$pattern" $many)
		echo "$name $(((b - a) / (many - few)))"
	done
} >"$tmp/now.txt"
cat "$tmp/now.txt"
if [ "${1:-}" = update ]; then
	cp "$tmp/now.txt" "$file"
	exit 0
fi
if [ "$(sed -n 2p "$file")" != "$(sed -n 2p "$tmp/now.txt")" ]; then
	echo "not compared: $file is of another compiler or processor; make it anew with .ci/instructions.sh update"
	exit 0
fi
awk 'NR == FNR { was[$1] = $2; next }
	/^#/ { next }
	!($1 in was) { print $1 " is not in the file"; bad = 1; next }
	{ off = ($2 - was[$1]) / was[$1]
	  if (off > 0.03 || off < -0.03) { printf "%s: %d instructions, %d were committed: %+.1f %%\n", $1, $2, was[$1], 100 * off; bad = 1 } }
	END { if (bad) print "make it right, or .ci/instructions.sh update and say why in the commit"; exit bad }' "$file" "$tmp/now.txt"
