#!/bin/sh
# Generates Go code from one proto file, named from the root of the repository.
# Needs protoc (Debian: protobuf-compiler); the plugins come from .ci/tools.mod.
set -eu
cd "$(dirname "$0")/.."
protoc --plugin=protoc-gen-go="$(go tool -modfile=.ci/tools.mod -n protoc-gen-go)" \
       --plugin=protoc-gen-go-grpc="$(go tool -modfile=.ci/tools.mod -n protoc-gen-go-grpc)" \
       --go_out=. --go_opt=paths=source_relative \
       --go-grpc_out=. --go-grpc_opt=paths=source_relative \
       "$1"
