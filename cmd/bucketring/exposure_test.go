// exposure_test.go looks for what a node shows that it should not.

package main

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bucketring/bucketring/transport/limitpb"
)

// limiterAt speaks bucketring.v1 to any listener of a node.
func (n *testNode) limiterAt(t *testing.T, door string) limitpb.LimiterClient {
	t.Helper()
	return limitpb.NewLimiterClient(dialGRPC(t, n.at(door)))
}

// A node listens where it was told to, and nowhere else.
func TestNoExtraListeners(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("skipped: sockets of a process are listed by Linux only")
	}
	n := startNode(t, "n1", "--key-file", newKeyFile(t), "--cluster-label", "listeners")
	var want []string
	for door, addr := range n.doors() {
		want = append(want, "tcp "+addr)
		if door == "gossip" {
			want = append(want, "udp "+addr)
		}
	}
	slices.Sort(want)
	if len(want) != 6 {
		t.Fatalf("the log names the listeners %v, want 6", want)
	}
	if diff := cmp.Diff(want, listenersOf(t, n.cmd.Process.Pid)); diff != "" {
		t.Errorf("listeners differ from what the log names (-want +got):\n%s", diff)
	}
	var page struct{ Listeners map[string]string }
	if err := n.web.page("/v1/members", &page); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(n.doors(), page.Listeners); diff != "" {
		t.Errorf("listeners of /v1/members differ from the log (-want +got):\n%s", diff)
	}
}

// listenersOf lists the sockets of a process that others can send to, sorted.
func listenersOf(t *testing.T, pid int) (found []string) {
	t.Helper()
	own := map[string]bool{} // inodes of its sockets
	fds, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if err != nil || len(fds) == 0 {
		t.Fatalf("no open files of process %d: %v", pid, err)
	}
	for _, fd := range fds {
		if link, err := os.Readlink(fd); err == nil {
			own[strings.TrimSuffix(strings.TrimPrefix(link, "socket:["), "]")] = true
		}
	}
	// State 0A is LISTEN; a UDP socket without a peer is 07.
	for file, state := range map[string]string{"tcp": "0A", "tcp6": "0A", "udp": "07", "udp6": "07"} {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", pid, file))
		if err != nil {
			continue // no IPv6 here
		}
		for line := range strings.Lines(string(text)) {
			if f := strings.Fields(line); len(f) > 9 && f[3] == state && own[f[9]] {
				found = append(found, file[:3]+" "+socketAddr(t, f[1]))
			}
		}
	}
	slices.Sort(found)
	return found
}

// socketAddr reads the address of a line such as 0100007F:1E46, whose words of 4
// bytes have the order of the machine.
func socketAddr(t *testing.T, text string) string {
	t.Helper()
	host, port, _ := strings.Cut(text, ":")
	b, err := hex.DecodeString(host)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+4 <= len(b); i += 4 {
		binary.NativeEndian.PutUint32(b[i:], binary.BigEndian.Uint32(b[i:]))
	}
	ip, ok := netip.AddrFromSlice(b)
	no, err := strconv.ParseUint(port, 16, 16)
	if !ok || err != nil {
		t.Fatalf("address %q of a socket: %v", text, err)
	}
	return netip.AddrPortFrom(ip.Unmap(), uint16(no)).String()
}

// The cluster's secrets stay in their file.
func TestSecretsStayInTheirFile(t *testing.T) {
	t.Parallel()
	keyFile := newKeyFile(t)
	n := startNode(t, "n1", "--key-file", keyFile, "--cluster-label", "secrets", "--log-level", "debug")
	shown := map[string]string{"log": n.log()}
	for _, page := range []string{"/v1/members", "/v1/ring", "/v1/explain?key=alice"} {
		_, shown[page] = n.web.get(t, page)
	}
	for _, page := range []string{"/metrics", "/debug/pprof/cmdline", "/debug/pprof/goroutine?debug=2"} {
		_, shown[page] = n.admin().get(t, page)
	}
	for _, name := range []string{"cmdline", "environ"} {
		if text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", n.cmd.Process.Pid, name)); err == nil {
			shown[name] = string(text)
		}
	}
	if runtime.GOOS == "linux" && !strings.Contains(shown["cmdline"], keyFile) {
		t.Errorf("cmdline = %q, want it to have the name %s: this test does not see it", shown["cmdline"], keyFile)
	}
	for _, secret := range secretsIn(t, keyFile) {
		for _, form := range []string{base64.StdEncoding.EncodeToString(secret), hex.EncodeToString(secret), string(secret)} {
			for _, where := range slices.Sorted(maps.Keys(shown)) {
				if strings.Contains(shown[where], form) {
					t.Errorf("%s shows a secret", where)
				}
			}
		}
	}
}

// secretsIn returns what a key file holds.
func secretsIn(t *testing.T, keyFile string) (all [][]byte) {
	t.Helper()
	text, err := os.ReadFile(keyFile)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if kind, encoded, ok := strings.Cut(strings.TrimSpace(line), " "); ok && kind != "#" {
			secret, err := base64.StdEncoding.DecodeString(encoded)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, secret)
		}
	}
	if len(all) != 2 {
		t.Fatalf("%s has %d secrets, want 2", keyFile, len(all))
	}
	return all
}

// promised are metrics that dashboards rely on, some of each package.
var promised = []string{
	"bucketring_decisions_total", "bucketring_decision_duration_seconds_bucket", "bucketring_keys",
	"bucketring_store_bytes", "bucketring_evictions_total", "bucketring_forwards_total",
	"bucketring_ring_version", "bucketring_ring_owned_partitions", "bucketring_ring_disagreement_seconds", "bucketring_members",
	"bucketring_gossip_rejected_total", "bucketring_insecure", "bucketring_build_info",
	"memberlist_", "go_goroutines", "process_open_fds",
}

// A user's key appears in no metric, log or profile, however the call went.
func TestKeysAppearNowhere(t *testing.T) {
	t.Parallel()
	nodes, _ := startCluster(t, 2, append(exactly, "--log-level", "debug")...)
	canary := fmt.Sprintf("canary%x", newRand(t).Uint64())
	sing(t, nodes[0], canary)
	if got := metric(t, nodes[0], "bucketring_decisions_total", `door="http"`); got == 0 {
		t.Errorf("no decisions were counted, want those of the canary")
	}
	if got := metric(t, nodes[0], "bucketring_decisions_total", `door="grpc"`); got == 0 {
		t.Errorf("no decisions of gRPC were counted, want those of the canary")
	}
	_, metrics := nodes[0].admin().get(t, "/metrics")
	if err := containing(metrics, promised...); err != nil {
		t.Errorf("metrics of n1: %v", err)
	}
	for _, n := range nodes {
		shown := map[string]string{"log": n.log()}
		for _, page := range []string{"/metrics", "/debug/pprof/goroutine?debug=2", "/debug/pprof/heap?debug=1", "/debug/pprof/allocs?debug=1"} {
			_, shown[page] = n.admin().get(t, page)
		}
		for where, text := range shown {
			if strings.Contains(text, canary) || text == "" {
				t.Errorf("%s of %s shows the key, or nothing at all", where, n.name)
			}
		}
	}
}

// sing makes calls with keys that hold the canary: allowed, denied and wrong
// ones, through every call that takes a key.
func sing(t *testing.T, n *testNode, canary string) {
	t.Helper()
	client := n.limiterAt(t, "grpc")
	for i := range 20 { // owned by either node
		key := fmt.Sprintf("%s:%d", canary, i)
		for _, limit := range []string{"1/h", "1/h", "1/q", canary} {
			body := fmt.Appendf(nil, `{"key":%q,"limit":%q}`, key, limit)
			for _, verb := range []string{"take", "peek", "refund", "reset"} {
				if _, _, err := n.web.send(t.Context(), http.MethodPost, "/v1/"+verb, body); err != nil {
					t.Fatal(err)
				}
			}
			n.web.get(t, "/v1/take?key="+url.QueryEscape(key)+"&limit="+limit)
			n.web.get(t, "/v1/explain?key="+url.QueryEscape(key)+"&limit="+limit)
			_, _ = client.Take(t.Context(), &limitpb.TakeRequest{Key: key, Limit: limit}) // errors are part of it
		}
	}
	n.web.get(t, "/v1/take?key="+strings.Repeat(canary, 50)+"&limit=1/h")
	n.web.get(t, "/"+canary)
	if _, _, err := n.web.send(t.Context(), http.MethodPost, "/v1/take", []byte(`{"`+canary+`":1}`)); err != nil {
		t.Fatal(err)
	}
}
