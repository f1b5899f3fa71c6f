#!/bin/sh
# Runs every fuzz target of every package for a while: fuzz.sh TIME. The whole
# takes at most twice TIME a target, beside compiling.
set -eu
cd "$(dirname "$0")/.."
time=$1
ran=0
packages=$(.ci/packages.sh Fuzz)
for package in $packages; do
	targets=$(go test -vet=off -list '^Fuzz' "$package")
	for target in $(echo "$targets" | grep '^Fuzz'); do
		echo "$package $target"
		go test -vet=off -run '^$' -fuzz "^$target\$" -fuzztime "$time" -fuzzminimizetime 1x "$package"
		ran=$((ran + 1))
	done
done
echo "$ran fuzz targets, $time each"
test "$ran" -gt 0
