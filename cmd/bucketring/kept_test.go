package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestPutsOutliveTheProcess: what was put at a node that was killed is in force at its
// next start, and a file that cannot be read keeps the node from starting without it.
func TestPutsOutliveTheProcess(t *testing.T) {
	dir, disk := policyFolder(t, "1d", nil), filepath.Join(t.TempDir(), "disk")
	args := []string{"--policies", dir, "--data-dir", disk, "--listen-gossip", "", "--listen-peer", ""}
	n := startNode(t, "n1", args...)
	for path, body := range map[string]string{
		"/v1/admin/tables/voicedub/api_keys": `{"k1":{"user":"u1"}}`,
		"/v1/admin/policies/work":            shortLeases,
	} {
		method := "PUT"
		if strings.Contains(path, "tables") {
			method = "PATCH"
		}
		if status, text, err := n.admin().send(t.Context(), method, path, []byte(body)); status/100 != 2 {
			t.Fatalf("%s %s = %d %s, %v, want it done", method, path, status, text, err)
		}
	}
	n.kill()
	again := startNode(t, "n1", args...)
	if a := again.ask(t, "/v1/take", caller("voicedub", "api_key", "k1", "method", "POST")); a.rate("Remaining") != "499" {
		t.Errorf("take with a row from before the restart = %s, want 499 remaining of u1", a.text)
	}
	if a := again.ask(t, "/v1/take", caller("work", "user", "u")); len(a.body.Leases) != 1 {
		t.Errorf("take of a policy from before the restart = %s, want a lease", a.text)
	}
	again.kill()
	if err := os.WriteFile(filepath.Join(disk, keptPuts), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	broken := start(t, append(serveCommandLine("n1"), args...)...)
	if err := broken.awaitEnd(); err != nil || broken.cmd.ProcessState.ExitCode() != exitUsage || !strings.Contains(broken.log(), keptPuts) {
		t.Errorf("a start with a broken file: %v, exit code %d, %s, want %d and its name", err, broken.cmd.ProcessState.ExitCode(), fmt.Sprint(broken.log()), exitUsage)
	}
}
