#!/usr/bin/env bash
# Runs make targets one after the other and shows how long each took. It stops at
# the first that fails. The last line counts the packages that the step race tested.
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
		break
	fi
done

echo "==> summary"
printf '%s' "$summary"
count() { grep -c "$1" "$logs/race" || true; }
echo "packages: $(count '^ok ') passed, $(count '^FAIL[[:space:]].*/') failed"
exit "$status"
