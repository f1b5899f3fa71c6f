package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestBench: of fresh keys exactly their limit is admitted, through each door, and a
// target that cannot be met is told.
func TestBench(t *testing.T) {
	nodes, _ := startCluster(t, 2, "--forward-budget", "5s")
	doors := nodes[0].doors()
	for _, args := range [][]string{
		{"--door", "grpc", "--addr", doors["grpc"] + "," + nodes[1].doors()["grpc"]},
		{"--door", "grpc", "--unary", "--addr", doors["grpc"]},
		{"--door", "http", "--addr", doors["http"]},
	} {
		t.Run(strings.Join(args[:3], " "), func(t *testing.T) {
			hgrm := filepath.Join(t.TempDir(), "latencies.hgrm")
			args := append([]string{
				"bench", "-o", "json", "--rate", "500", "--duration", "2s", "--warm-up", "0s", "--keys", "40", "--limit", "3/h",
				"--target-answered", "0", "--hgrm", hgrm,
			}, args...)
			var out, errs bytes.Buffer
			code := run(t.Context(), args, &out, &errs)
			var b benchResult
			if err := json.Unmarshal(out.Bytes(), &b); err != nil || code != exitOK {
				t.Fatalf("%v = exit code %d, %v\n%s", args, code, err, errs.String())
			}
			if b.Calls != 1000 || b.Allowed != 3*40 || b.Denied != 1000-3*40 || b.OverAdmitted != 0 || b.MostPerKey != 3 || b.Failed != 0 {
				t.Errorf("%+v, want 1000 calls, 120 of them allowed and none beyond the limit", b)
			}
			if text, err := os.ReadFile(hgrm); err != nil || b.Latency["p99"] <= 0 || !strings.Contains(string(text), "Percentile") {
				t.Errorf("latencies %v, %.40q, %v, want both the summary and the file", b.Latency, text, err)
			}
		})
	}
	var out, errs bytes.Buffer
	args := []string{"bench", "--addr", doors["grpc"], "--rate", "100", "--duration", "1s", "--warm-up", "0s", "--target-p50", "1ns"}
	if code := run(t.Context(), args, &out, &errs); code != exitDenied || !strings.Contains(errs.String(), "targets missed: p50 is") {
		t.Errorf("%v = exit code %d, %q, want 3 and the target that was missed", args, code, errs.String())
	}
}

func TestBenchOfNobody(t *testing.T) {
	var out, errs bytes.Buffer
	args := []string{"bench", "--addr", "127.0.0.1:1", "--rate", "100", "--duration", "1s", "--warm-up", "0s"}
	if code := run(t.Context(), args, &out, &errs); code != exitError || !strings.Contains(errs.String(), "none of 100 calls was answered") {
		t.Errorf("%v = exit code %d, %q, want 1 and that nobody answers", args, code, errs.String())
	}
}
