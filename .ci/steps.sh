#!/usr/bin/env bash
# Runs make targets one after the other and shows how long each took. It stops at
# the first that fails, and repeats what failed: a log may be long. The last line counts
# the packages that the step race tested.
set -euo pipefail
cd "$(dirname "$0")/.."

logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
touch "$logs/race"
summary=''
status=0
for step in "$@"; do
	echo "==> make $step"
	SECONDS=0
	make --no-print-directory "$step" 2>&1 | tee "$logs/$step" || status=$?
	summary+=$(printf '%-16s %4d s' "$step" "$SECONDS")$'\n'
	if ((status)); then
		summary+="$step FAILED"$'\n'
		echo "==> what failed"
		grep -nE -A4 '^ *--- FAIL|^panic: |running tests:|WARNING: DATA RACE|^FAIL[[:space:]]' "$logs/$step" | cut -c1-300 | head -n 80 || true
		break
	fi
done

echo "==> summary"
printf '%s' "$summary"
count() { grep -c "$1" "$logs/race" || true; }
echo "packages: $(count '^ok ') passed, $(count '^FAIL[[:space:]].*/') failed"
exit "$status"
