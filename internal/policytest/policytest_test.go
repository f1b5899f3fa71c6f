package policytest_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bucketring/bucketring/internal/policytest"
)

var update = flag.Bool("update", false, "write golden files")

// runFile runs a script of testdata.
func runFile(t *testing.T, name string) policytest.Report {
	t.Helper()
	report, err := policytest.Run(filepath.Join("testdata", name), policytest.Options{})
	if err != nil {
		t.Fatalf("Run(%s) = %v, want a report", name, err)
	}
	return report
}

// golden compares text with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs (-want +got):\n%s", name, diff)
	}
}

func TestEveryKey(t *testing.T) {
	if report := runFile(t, "every.yaml"); report.Failed() > 0 {
		t.Errorf("every.yaml fails, want no failure:\n%s", report.Text())
	}
}

func TestFailures(t *testing.T) {
	report := runFile(t, "failures.yaml")
	golden(t, "failures.golden", filepath.ToSlash(report.Text()))
	if got, want := report.Failed(), len(report.Tests)-1; got != want {
		t.Errorf("Failed() = %d, want %d", got, want)
	}
}

func TestReportAsJSON(t *testing.T) {
	report := runFile(t, "failures.yaml")
	report.Tests = []policytest.Result{report.Tests[0], report.Tests[4]}
	got, err := json.MarshalIndent(report, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "report.golden", filepath.ToSlash(string(got))+"\n")
}

// TestTestsStandAlone: no test sees what another one has charged, also if the
// script is run twice.
func TestTestsStandAlone(t *testing.T) {
	first, second := runFile(t, "failures.yaml"), runFile(t, "failures.yaml")
	if diff := cmp.Diff(first, second); diff != "" {
		t.Errorf("the second run differs (-first +second):\n%s", diff)
	}
}

func TestEnvironment(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "p.yaml", "apiVersion: limits/v1\nnamespace: n\nlimits: [{name: l, limit: \"${ENV:LIMIT}\", per: 1m}]\n")
	script := write(t, dir, "s.yaml", "apiVersion: limits-test/v1\npolicy: p.yaml\n"+
		"tests: [{name: t, steps: [{count: {take: {}, times: 9, allowed: 7}}, {load_error: {policy: none.yaml}}]}]\n")
	env := func(name string) (string, bool) { return "7", name == "LIMIT" }
	report, err := policytest.Run(script, policytest.Options{Env: env})
	if err != nil {
		t.Fatal(err)
	}
	if failures := report.Tests[0].Failures; len(failures) != 1 || !strings.Contains(failures[0].Text, "none.yaml") {
		t.Errorf("Run = %s, want 7 calls allowed and one failure about none.yaml", report.Text())
	}
	if _, err := policytest.Run(script, policytest.Options{}); err == nil || !strings.Contains(err.Error(), "LIMIT") {
		t.Errorf("Run without the variable = %v, want an error that names it", err)
	}
}

func TestNoFile(t *testing.T) {
	_, err := policytest.Run("testdata/none.yaml", policytest.Options{})
	if !os.IsNotExist(err) {
		t.Errorf("Run(none.yaml) = %v, want that it does not exist", err)
	}
}

func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}
