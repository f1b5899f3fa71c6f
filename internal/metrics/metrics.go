// Package metrics turns the figures of the rooms into Prometheus metrics. All
// names, help texts and labels stand in one table, tables.go; values are read
// from the rooms' Stats when somebody scrapes, so that a call pays for none of
// it but two histograms.
//
// No value from a call is ever a label. The package is safe for concurrent use.
package metrics

import (
	"fmt"
	"net/http"
	"regexp"
	"runtime"
	"slices"
	"time"

	gometrics "github.com/hashicorp/go-metrics"
	memberlist "github.com/hashicorp/go-metrics/prometheus"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/bucketring/bucketring/cluster"
	"github.com/bucketring/bucketring/node"
	"github.com/bucketring/bucketring/transport"
)

// Sources are where the figures come from. Node is required; a node that stays
// alone has no Cluster, Links and Peers.
type Sources struct {
	Node    func() node.Stats
	Cluster func() cluster.Stats
	// Disagreement is for how long other members have seen another ring; nil for a node
	// without others.
	Disagreement func() time.Duration
	Links        func() []transport.PeerStats
	Peers        func() transport.ServerStats
	// Policies tells of the last load; nil for a node without policies.
	Policies func() Policies
	// Keys tells of the gossip keys; nil for a node without.
	Keys func() Keys
	// Envoy tells of the Envoy door; under the names of envoyproxy/ratelimit if it is Known.
	Envoy func() Envoy
	// Disk tells of --data-dir; nil for a node without.
	Disk func() Disk
	// Proofs tells of tokens and of the certificate; nil for a node without both.
	Proofs func() Proofs
	// Panics counts calls that ended in a panic, by door.
	Panics map[string]func() int64
	// StoreLimit is from how many bytes on new keys share a counter; 0 for no bound.
	StoreLimit int64
	// Version is this program's, Insecure whether strangers are let in.
	Version  string
	Insecure bool
}

// Proofs are the files that prove who somebody is, as they are shown.
type Proofs struct {
	// Loaded says of each whether its last load had no error.
	Loaded map[string]bool
	// Expires is when the certificates do, by who sees them.
	Expires map[string]time.Time
	// Strangers and Forbidden count calls without a token that is known, and with one that
	// may not.
	Strangers, Forbidden int64
}

func collectProofs(s sink, p Proofs) {
	for what, ok := range p.Loaded {
		s.put(proofSuccess, boolean(ok), what)
	}
	for to, at := range p.Expires {
		s.put(certificateExpiry, float64(at.Unix()), to)
	}
	s.put(refusedCalls, float64(p.Strangers), "unauthenticated")
	s.put(refusedCalls, float64(p.Forbidden), "forbidden")
}

// Policies are the policies of a node as they are shown.
type Policies struct {
	OK       bool      // the last load had no error
	Loaded   time.Time // of the last load that changed them
	Hashes   map[string]string
	Mismatch int // members with other policies
}

// Keys are the gossip keys of a node as they are shown: by their fingerprints.
type Keys struct {
	First, All string
	Mismatch   int // members with other keys
}

// Metrics is a registry and what feeds it.
type Metrics struct {
	registry *prometheus.Registry
	paths    map[node.Path]prometheus.Observer
	forward  prometheus.Observer
	batch    prometheus.Observer
	takeOver prometheus.Observer
}

// New returns the metrics of a process that has not got its Sources yet. It also
// takes what memberlist says about itself, which goes to one place a process.
func New() (*Metrics, error) {
	seconds := []float64{1e-6, 1e-5, 1e-4, 1e-3, 5e-3, 1e-2, 2.5e-2, 0.1}
	durations := histogram(decisionDuration, seconds)
	forward := histogram(forwardDuration, seconds)
	batch := histogram(forwardBatch, []float64{1, 2, 5, 10, 50, 100, 500, 1000})
	takeOver := histogram(handoverDuration, []float64{0.01, 0.05, 0.1, 0.5, 1, 5, 20})
	m := &Metrics{
		registry: prometheus.NewRegistry(), paths: map[node.Path]prometheus.Observer{},
		forward: forward.WithLabelValues(), batch: batch.WithLabelValues(), takeOver: takeOver.WithLabelValues(),
	}
	for _, path := range []node.Path{node.PathOwned, node.PathForward, node.PathFallback} {
		m.paths[path] = durations.WithLabelValues(string(path))
	}
	m.registry.MustRegister(durations, forward, batch, takeOver, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m, m.takeMemberlist()
}

// histogram is native, with classic buckets beside.
func histogram(m metric, buckets []float64) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: m.name, Help: m.help, Buckets: buckets,
		NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 160,
	}, m.labels)
}

// Observe records how long a decision took. It is node.Config.Observe.
func (m *Metrics) Observe(path node.Path, took time.Duration) {
	m.paths[path].Observe(took.Seconds())
	if path == node.PathForward {
		m.forward.Observe(took.Seconds())
	}
}

// ObserveFrame records how many calls a frame to a peer carried. It is
// transport.PeerConfig.Observe.
func (m *Metrics) ObserveFrame(calls int) { m.batch.Observe(float64(calls)) }

// takeMemberlist registers memberlist_*: health score, suspects, queues.
func (m *Metrics) takeMemberlist() error {
	sink, err := memberlist.NewPrometheusSinkFrom(memberlist.PrometheusOpts{Registerer: m.registry})
	if err != nil {
		return fmt.Errorf("metrics: register memberlist's: %w", err)
	}
	cfg := gometrics.DefaultConfig("")
	cfg.EnableHostname, cfg.EnableRuntimeMetrics = false, false
	if _, err := gometrics.NewGlobal(cfg, sink); err != nil {
		return fmt.Errorf("metrics: take memberlist's: %w", err)
	}
	return nil
}

// Watch makes every scrape read src. It is called once.
func (m *Metrics) Watch(src Sources) {
	m.registry.MustRegister(collector{src})
}

// Handler serves the metrics over HTTP.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{EnableOpenMetrics: true})
}

// A collector reads the rooms' figures at each scrape.
type collector struct{ src Sources }

// Describe sends nothing: which peers and doors there are is known at a scrape.
func (c collector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c collector) Collect(out chan<- prometheus.Metric) {
	s := sink{out}
	s.put(buildInfo, 1, c.src.Version, runtime.Version())
	s.put(insecure, boolean(c.src.Insecure))
	c.node(s, c.src.Node())
	if c.src.StoreLimit > 0 {
		s.put(storeLimit, float64(c.src.StoreLimit))
	}
	if c.src.Cluster != nil {
		collectCluster(s, c.src.Cluster())
		collectMoves(s, c.src.Node().Moves)
	}
	if c.src.Disagreement != nil {
		s.put(ringDisagree, c.src.Disagreement().Seconds())
	}
	if c.src.Disk != nil {
		collectDisk(s, c.src.Disk())
	}
	if c.src.Links != nil {
		collectLinks(s, c.src.Links())
	}
	if c.src.Peers != nil {
		collectPeers(s, c.src.Peers())
	}
	if c.src.Policies != nil {
		collectPolicies(s, c.src.Policies())
	}
	if c.src.Keys != nil {
		collectKeys(s, c.src.Keys())
	}
	if c.src.Envoy != nil {
		collectEnvoy(s, c.src.Envoy())
	}
	if c.src.Proofs != nil {
		collectProofs(s, c.src.Proofs())
	}
	for door, count := range c.src.Panics {
		s.put(panics, float64(count()), door)
	}
}

func (c collector) node(s sink, stats node.Stats) {
	for _, door := range stats.Doors {
		for _, d := range door.Decisions {
			limit := d.Limit
			if d.Namespace == "" {
				limit = "inline"
			}
			s.put(decisions, float64(d.Count), d.Namespace, limit, result(d.Allowed), d.Source.String(), door.Door)
		}
		s.put(callErrors, float64(door.Errors), door.Door)
	}
	s.put(keys, float64(stats.Table.Keys))
	s.put(storeBytes, float64(stats.Table.Bytes))
	s.put(evictions, float64(stats.Table.Dropped), "unused")
	s.put(overflowed, float64(stats.Table.Overflowed))
	s.put(adjusted, float64(stats.Table.Adjusted))
	s.put(askFailures, float64(stats.Failures.NotOwner), "not_owner")
	s.put(askFailures, float64(stats.Failures.Timeout), "timeout")
	s.put(askFailures, float64(stats.Failures.Unavailable), "unavailable")
	s.put(ringVersion, float64(stats.RingVersion))
	s.put(ringOwned, float64(stats.Owned))
	s.put(clockStep, stats.ClockStep.Seconds())
	s.put(leases, float64(stats.Table.Leases))
	s.put(reservations, float64(stats.Table.Reservations))
	s.put(slicesMoved, float64(stats.Slices.Lent), "lent")
	s.put(slicesMoved, float64(stats.Slices.Borrowed), "borrowed")
	s.put(slicesMoved, float64(stats.Slices.Returned), "returned")
	for _, l := range stats.Policies.Shadowed {
		s.put(shadowed, float64(l.Count), l.Namespace, l.Limit)
	}
	for _, l := range stats.Policies.Unplanned {
		s.put(unplanned, float64(l.Count), l.Namespace, l.Limit)
	}
	for _, l := range stats.Policies.Labelled {
		m := policyDecisions
		m.labels = append(slices.Clone(m.labels), labelNames(l.Names)...)
		s.put(m, float64(l.Count), append([]string{l.Namespace, l.Limit, result(l.Allowed)}, l.Values...)...)
	}
}

func result(allowed bool) string {
	if allowed {
		return "allowed"
	}
	return "denied"
}

// labelNames makes names that Prometheus allows of attributes, and none of ours.
func labelNames(attributes []string) []string {
	names := make([]string, len(attributes))
	for i, name := range attributes {
		name = notInLabels.ReplaceAllString(name, "_")
		if slices.Contains(policyDecisions.labels, name) || name[0] >= '0' && name[0] <= '9' {
			name = "attr_" + name
		}
		names[i] = name
	}
	return names
}

var notInLabels = regexp.MustCompile(`[^a-zA-Z0-9_]`)

func collectPolicies(s sink, p Policies) {
	s.put(reloadSuccess, boolean(p.OK))
	if !p.Loaded.IsZero() {
		s.put(reloadTime, float64(p.Loaded.Unix()))
	}
	for namespace, hash := range p.Hashes {
		s.put(policyInfo, 1, namespace, hash)
	}
	s.put(policyMismatch, float64(p.Mismatch))
}

func collectKeys(s sink, k Keys) {
	s.put(gossipKey, 1, k.First, k.All)
	s.put(keyMismatch, float64(k.Mismatch))
}

func collectCluster(s sink, stats cluster.Stats) {
	for state, count := range map[string]int{
		"joining": stats.Joining, "active": stats.Active, "leaving": stats.Leaving, "left": stats.Left, "dead": stats.Dead,
	} {
		s.put(members, float64(count), state)
	}
	s.put(gossipRefused, float64(stats.Refused), "record")
	s.put(gossipRefused, float64(stats.Undecryptable), "key")
	s.put(gossipRefused, float64(stats.OtherLabel), "label")
	s.put(gossipDropped, float64(stats.Dropped))
	s.put(gossipTCPOnly, float64(stats.TCPOnly))
	s.put(rejoins, float64(stats.Rejoins))
	s.put(ringFailures, float64(stats.RingsFailed))
}

func collectLinks(s sink, links []transport.PeerStats) {
	for _, l := range links {
		s.put(forwards, float64(l.Answered), l.Peer, "answered")
		s.put(forwards, float64(l.Failed), l.Peer, "failed")
		s.put(linkUp, boolean(l.Up), l.Peer)
		s.put(linkFrames, float64(l.Frames), l.Peer)
		s.put(linkReconnects, float64(l.Reconnects), l.Peer)
	}
}

func collectPeers(s sink, stats transport.ServerStats) {
	s.put(served, float64(stats.Decided), "decided")
	s.put(served, float64(stats.Repeated), "repeated")
	s.put(served, float64(stats.Late), "late")
	s.put(strangers, float64(stats.Strangers))
	s.put(panics, float64(stats.Panics), "peer")
}

func boolean(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
