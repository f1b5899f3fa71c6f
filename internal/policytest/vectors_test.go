package policytest_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/bucketring/bucketring/internal/policytest"
)

// TestVectors runs what the five policies must answer, on one node and on three
// that are asked in turn.
func TestVectors(t *testing.T) {
	for _, nodes := range []int{1, 3} {
		t.Run(fmt.Sprint(nodes, "-nodes"), func(t *testing.T) { runVectors(t, nodes) })
	}
}

func runVectors(t *testing.T, nodes int) {
	files, err := filepath.Glob("../../policy/testdata/vectors/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("Glob found %d scripts (%v), want some", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			report, err := policytest.Run(file, policytest.Options{Nodes: nodes})
			if err != nil {
				t.Fatal(err)
			}
			for _, test := range report.Tests {
				t.Run(test.Name, func(t *testing.T) {
					if len(test.Failures) > 0 {
						one := policytest.Report{File: report.File, Tests: []policytest.Result{test}}
						t.Error("\n" + one.Text())
					}
				})
			}
		})
	}
}
