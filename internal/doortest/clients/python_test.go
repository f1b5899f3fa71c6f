// python_test.go asks by gRPC's library for Python, over a stream too.

package clients_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// What testdata/grpc_py.py prints.
const pythonSays = `take True 2 5
batch True 0 0
batch False 0 0
batch False 0 3
batch True 5 0
error INVALID_ARGUMENT True
error UNIMPLEMENTED True
turn True True 4
turn True True 3
turn True True 2
turn True True 1
turn True True 0
turn True False 0
turn True False 0
many True 300 0
`

func TestPythonGRPC(t *testing.T) {
	l := library{name: "grpcio", packages: "python3-grpcio python3-protobuf protobuf-compiler protobuf-compiler-grpc",
		runners: []string{"python3", "/usr/bin/python3"}, probe: []string{"-c", "import grpc, google.protobuf"}}
	python, dir := l.runner(t), t.TempDir()
	plugin, err := exec.LookPath("grpc_python_plugin")
	if err != nil {
		t.Skipf("skipped: there is no grpc_python_plugin here: .ci/programs.sh, or apt-get install %s", l.packages)
	}
	protos := filepath.Join(house, "transport/limitpb")
	generate := exec.Command("protoc", "-I", protos, "--python_out="+dir, "--grpc_python_out="+dir, "--plugin=protoc-gen-grpc_python="+plugin, "limit.proto")
	if out, err := generate.CombinedOutput(); err != nil {
		t.Fatalf("protoc: %v:\n%s", err, out)
	}
	ctx, cancel := context.WithTimeout(t.Context(), slack)
	defer cancel()
	cmd := exec.CommandContext(ctx, python, "testdata/grpc_py.py")
	cmd.Env = append(os.Environ(), "GRPC_ADDR="+startNode(t).doors["grpc"], "PYTHONPATH="+dir, "PYTHONDONTWRITEBYTECODE=1")
	var errs strings.Builder
	cmd.Stderr = &errs
	if out, err := cmd.Output(); err != nil || string(out) != pythonSays {
		t.Errorf("grpcio: %v, %s\ngot:\n%swant:\n%s", err, errs.String(), out, pythonSays)
	}
}
