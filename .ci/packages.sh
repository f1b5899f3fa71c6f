#!/bin/sh
# Prints the packages whose tests have functions that begin with a word, such as
# Fuzz or Benchmark, so that others need not be compiled to find none.
set -eu
cd "$(dirname "$0")/.."
files='{{range .TestGoFiles}}{{$.ImportPath}} {{$.Dir}}/{{.}}{{"\n"}}{{end}}{{range .XTestGoFiles}}{{$.ImportPath}} {{$.Dir}}/{{.}}{{"\n"}}{{end}}'
all=$(go list -f "$files" ./...)
echo "$all" | while read -r package file; do
	if grep -q "^func $1[A-Z_]" "$file"; then echo "$package"; fi
done | sort -u
