#!/bin/sh
# Checks one module, named by its folder. Each command prints nothing if all is
# well, and this stops at the first that does not.
set -eu
cd "$(dirname "$0")/.."
root=$PWD
cd "$1"
echo "lint $1"
go vet ./...
go tool -modfile="$root/.ci/tools.mod" staticcheck -checks all,-ST1003 ./...
go fix -diff ./...
go mod tidy -diff
go mod verify
