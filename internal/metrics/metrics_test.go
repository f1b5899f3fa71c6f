package metrics_test

import (
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/cluster"
	"github.com/bucketring/bucketring/internal/metrics"
	"github.com/bucketring/bucketring/node"
	"github.com/bucketring/bucketring/transport"
)

// scrape returns the metrics of a node on which everything has happened.
func scrape(t *testing.T) string {
	t.Helper()
	m, err := metrics.New()
	if err != nil {
		t.Fatal(err)
	}
	m.Observe(node.PathForward, 3*time.Millisecond)
	m.ObserveFrame(17)
	stats := node.Stats{RingVersion: 7, Owned: 1364, Doors: []node.DoorStats{{
		Door: "http", Errors: 2, Decisions: []node.DecisionCount{
			{Source: bucketring.SourceOwner, Allowed: true, Count: 41},
			{Source: bucketring.SourceFallbackShare, Count: 3},
			{Namespace: "voicedub", Limit: "write-minute", Source: bucketring.SourceOwner, Count: 5},
		},
	}}, Policies: node.PolicyStats{
		Shadowed:  []node.LimitCount{{Namespace: "voicedub", Limit: "trial", Count: 6}},
		Unplanned: []node.LimitCount{{Namespace: "uberduck", Limit: "requests-day", Count: 7}},
		Labelled: []node.LabelCount{
			{Namespace: "plaud", Limit: "client-minute", Allowed: true, Names: []string{"method", "client-id"}, Values: []string{"GET", "c1"}, Count: 8},
			{Namespace: "other", Limit: "l", Names: []string{"limit"}, Values: []string{"x"}, Count: 9},
		},
	}}
	stats.Table.Leases, stats.Table.Reservations = 11, 12
	stats.Slices = node.SliceStats{Lent: 13, Borrowed: 14, Returned: 15}
	stats.Moves = node.MoveStats{
		Here: 1363, In: 21, Out: 22, Longest: 4 * time.Millisecond, Lag: 20 * time.Millisecond, Acting: 23, Guarded: 24, Pauses: 25,
	}
	m.ObserveTakeOver(time.Second)
	m.Watch(metrics.Sources{
		Node:    func() node.Stats { return stats },
		Cluster: func() cluster.Stats { return cluster.Stats{Active: 3, Dead: 1} },
		Links:   func() []transport.PeerStats { return []transport.PeerStats{{Peer: "n2", Up: true, Answered: 9}} },
		Envoy: func() metrics.Envoy {
			return metrics.Envoy{Known: true, UnknownDomains: 69, Degraded: 70, Calls: 71, Invalid: 72, Failed: 73, LoadsThatWorked: 74, LoadsThatDont: 75, Rules: []metrics.EnvoyRule{
				{Domain: "d", Key1: "a", Key2: "b", TotalHits: 81, OverLimit: 82, NearLimit: 83, WithinLimit: 84, ShadowedHits: 85},
			}}
		},
		Disagreement: func() time.Duration { return 61 * time.Second },
		Peers:        func() transport.ServerStats { return transport.ServerStats{Decided: 5} },
		Policies: func() metrics.Policies {
			return metrics.Policies{OK: true, Loaded: time.Unix(1704067200, 0), Hashes: map[string]string{"voicedub": "00ff"}, Mismatch: 2}
		},
		Disk: func() metrics.Disk { return metrics.Disk{Written: 26, Errors: 27, Quarantined: 28} },
		Proofs: func() metrics.Proofs {
			return metrics.Proofs{Loaded: map[string]bool{"tokens": true, "certificate": false}, Expires: map[string]time.Time{"callers": time.Unix(1704067200, 0)}, Strangers: 91, Forbidden: 92}
		},
		Keys:    func() metrics.Keys { return metrics.Keys{First: "aa", All: "bb", Mismatch: 29} },
		Panics:  map[string]func() int64{"http": func() int64 { return 1 }},
		Version: "1.2.3", StoreLimit: 30,
	})
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != 200 {
		t.Fatalf("GET /metrics = %d, want 200: %s", w.Code, w.Body)
	}
	return w.Body.String()
}

func TestScrape(t *testing.T) {
	text := scrape(t)
	for _, line := range []string{
		`bucketring_decisions_total{door="http",limit="inline",namespace="",result="allowed",source="owner"} 41`,
		`bucketring_decisions_total{door="http",limit="inline",namespace="",result="denied",source="fallback_share"} 3`,
		`bucketring_decisions_total{door="http",limit="write-minute",namespace="voicedub",result="denied",source="owner"} 5`,
		`bucketring_shadow_denials_total{limit="trial",namespace="voicedub"} 6`,
		`bucketring_unplanned_denials_total{limit="requests-day",namespace="uberduck"} 7`,
		`bucketring_policy_decisions_total{client_id="c1",limit="client-minute",method="GET",namespace="plaud",result="allowed"} 8`,
		`bucketring_policy_decisions_total{attr_limit="x",limit="l",namespace="other",result="denied"} 9`,
		`bucketring_leases 11`,
		`bucketring_slices_total{what="lent"} 13`,
		`bucketring_slices_total{what="borrowed"} 14`,
		`bucketring_slices_total{what="returned"} 15`,
		`bucketring_reservations 12`,
		`bucketring_policy_reload_success 1`,
		`bucketring_policy_reload_timestamp_seconds 1.7040672e+09`,
		`bucketring_policy_info{hash="00ff",namespace="voicedub"} 1`,
		`bucketring_policy_mismatch 2`,
		`bucketring_decision_duration_seconds_count{path="forward"} 1`,
		`bucketring_forward_duration_seconds_count 1`,
		`bucketring_forward_batch_size_sum 17`,
		`bucketring_members{state="active"} 3`,
		`bucketring_members{state="dead"} 1`,
		`bucketring_forwards_total{peer="n2",result="answered"} 9`,
		`bucketring_link_up{peer="n2"} 1`,
		`bucketring_panics_total{door="http"} 1`,
		`bucketring_ring_owned_partitions 1364`,
		`bucketring_ring_disagreement_seconds 61`,
		`bucketring_envoy_unknown_domains_total 69`,
		`bucketring_envoy_degraded_total 70`,
		`ratelimit_service_total_requests{grpc_method="ShouldRateLimit"} 71`,
		`ratelimit_service_should_rate_limit_error{err_type="service_error"} 72`,
		`ratelimit_service_should_rate_limit_error{err_type="redis_error"} 73`,
		`ratelimit_service_config_load_success 74`,
		`ratelimit_service_config_load_error 75`,
		`ratelimit_service_rate_limit_total_hits{domain="d",key1="a",key2="b"} 81`,
		`ratelimit_service_rate_limit_over_limit{domain="d",key1="a",key2="b"} 82`,
		`ratelimit_service_rate_limit_near_limit{domain="d",key1="a",key2="b"} 83`,
		`ratelimit_service_rate_limit_within_limit{domain="d",key1="a",key2="b"} 84`,
		`ratelimit_service_rate_limit_shadow_mode{domain="d",key1="a",key2="b"} 85`,
		`bucketring_partitions_held 1363`,
		`bucketring_handover_keys_total{direction="in",result="ok"} 21`,
		`bucketring_handover_keys_total{direction="out",result="ok"} 22`,
		`bucketring_handover_longest_freeze_seconds 0.004`,
		`bucketring_handover_duration_seconds_count 1`,
		`bucketring_replication_lag_seconds 0.02`,
		`bucketring_acting_partitions 23`,
		`bucketring_guarded_partitions 24`,
		`bucketring_pauses_total 25`,
		`bucketring_data_dir_ok 0`,
		`bucketring_data_dir_written_bytes_total 26`,
		`bucketring_data_dir_errors_total 27`,
		`bucketring_data_dir_damage_total{kind="quarantined"} 28`,
	} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("metrics have no line %s", line)
		}
	}
}

func TestScrapeOfProofs(t *testing.T) {
	text := scrape(t)
	for _, line := range []string{
		`bucketring_proof_reload_success{what="tokens"} 1`,
		`bucketring_proof_reload_success{what="certificate"} 0`,
		`bucketring_tls_certificate_expiry_timestamp_seconds{shown_to="callers"} 1.7040672e+09`,
		`bucketring_refused_calls_total{reason="unauthenticated"} 91`,
		`bucketring_refused_calls_total{reason="forbidden"} 92`,
	} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("metrics have no line %s", line)
		}
	}
}

func TestScrapeOfKeysAndRoom(t *testing.T) {
	text := scrape(t)
	for _, line := range []string{
		`bucketring_store_limit_bytes 30`,
		`bucketring_gossip_key_info{key="aa",keys="bb"} 1`,
		`bucketring_gossip_key_mismatch 29`,
	} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("metrics have no line %s", line)
		}
	}
}

// Whoever adds a metric tells operators about it.
func TestEveryMetricIsDocumented(t *testing.T) {
	doc, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile(`(?m)^# TYPE (bucketring_\w+) `).FindAllStringSubmatch(scrape(t), -1)
	if len(names) < 25 {
		t.Fatalf("found %d metrics, want at least 25", len(names))
	}
	for _, name := range names {
		if !strings.Contains(string(doc), "`"+name[1]+"`") {
			t.Errorf("docs/operations.md does not mention %s", name[1])
		}
	}
	documented := regexp.MustCompile("`(bucketring_\\w+)`").FindAllStringSubmatch(string(doc), -1)
	for _, name := range documented {
		if !slices.ContainsFunc(names, func(n []string) bool { return n[1] == name[1] }) {
			t.Errorf("docs/operations.md mentions %s, which does not exist", name[1])
		}
	}
}

// A node with two peers stays far below the 300 series that it may have.
func TestSeriesAreFew(t *testing.T) {
	series := 0
	for line := range strings.Lines(scrape(t)) {
		if strings.HasPrefix(line, "bucketring_") {
			series++
		}
	}
	if series == 0 || series > 150 {
		t.Errorf("%d series of bucketring_, want 1 to 150", series)
	}
}
