package metrics

import "github.com/prometheus/client_golang/prometheus"

// A metric is one row of the table below.
type metric struct {
	name   string
	kind   prometheus.ValueType
	help   string
	labels []string
}

const (
	counter = prometheus.CounterValue
	gauge   = prometheus.GaugeValue
)

// The metrics of a node. Names are the product's interface: a rename keeps the
// old one for a release.
var (
	decisions        = metric{"bucketring_decisions_total", counter, "Decisions handed out.", []string{"namespace", "limit", "result", "source", "door"}}
	decisionDuration = metric{"bucketring_decision_duration_seconds", gauge, "Time a decision took, by the way it went.", []string{"path"}}
	callErrors       = metric{"bucketring_call_errors_total", counter, "Calls that ended in an error instead of a decision.", []string{"door"}}
	unknownDomains   = metric{"bucketring_envoy_unknown_domains_total", counter, "Calls of Envoy to domains that no file has: they pass.", nil}
	envoyDegraded    = metric{"bucketring_envoy_degraded_total", counter, "Descriptors of Envoy's dialect that were decided without the owner of their counter.", nil}
	panics           = metric{"bucketring_panics_total", counter, "Calls that ended in a panic, which cost that call alone.", []string{"door"}}

	shadowed       = metric{"bucketring_shadow_denials_total", counter, "Calls that a limit in shadow mode would have denied.", []string{"namespace", "limit"}}
	unplanned      = metric{"bucketring_unplanned_denials_total", counter, "Calls denied because the policy has no number for the caller's plan.", []string{"namespace", "limit"}}
	reloadSuccess  = metric{"bucketring_policy_reload_success", gauge, "1 if the last load of the policies had no error.", nil}
	reloadTime     = metric{"bucketring_policy_reload_timestamp_seconds", gauge, "Unix time of the last load that changed the policies.", nil}
	policyInfo     = metric{"bucketring_policy_info", gauge, "Policies in force, with the hash of each.", []string{"namespace", "hash"}}
	policyMismatch = metric{"bucketring_policy_mismatch", gauge, "Members whose policies differ from this node's.", nil}
	leases         = metric{"bucketring_leases", gauge, "Leases of concurrency limits that are out.", nil}
	reservations   = metric{"bucketring_reservations", gauge, "Costs that are still to be settled, or were lately.", nil}

	slicesMoved = metric{"bucketring_slices_total", counter, "Slices of limits that went to other nodes, came from them, or were not spent.", []string{"what"}}

	keys       = metric{"bucketring_keys", gauge, "Counters held.", nil}
	storeBytes = metric{"bucketring_store_bytes", gauge, "Estimated memory of the counters.", nil}
	storeLimit = metric{"bucketring_store_limit_bytes", gauge, "Memory of the counters from which on new keys share one.", nil}
	evictions  = metric{"bucketring_evictions_total", counter, "Counters dropped; none of them was in use.", []string{"reason"}}
	overflowed = metric{"bucketring_overflowed_total", counter, "Calls for new keys that shared a counter because the store was full.", nil}
	adjusted   = metric{"bucketring_adjusted_total", counter, "Counters carried over to another amount of their limit.", nil}

	forwards        = metric{"bucketring_forwards_total", counter, "Calls sent to a peer, by outcome.", []string{"peer", "result"}}
	forwardDuration = metric{"bucketring_forward_duration_seconds", gauge, "Time of a decision by another node, as its caller waited.", nil}
	forwardBatch    = metric{"bucketring_forward_batch_size", gauge, "Calls in a frame sent to a peer.", nil}
	askFailures     = metric{"bucketring_forward_failures_total", counter, "Asks to other nodes that brought no decision, by reason.", []string{"reason"}}
	linkUp          = metric{"bucketring_link_up", gauge, "1 if the link to a peer is there and was heard of lately.", []string{"peer"}}
	linkFrames      = metric{"bucketring_link_frames_total", counter, "Frames with calls sent to a peer.", []string{"peer"}}
	linkReconnects  = metric{"bucketring_link_reconnects_total", counter, "Times that a link to a peer broke.", []string{"peer"}}
	served          = metric{"bucketring_peer_calls_total", counter, "Calls that peers sent here.", []string{"result"}}
	strangers       = metric{"bucketring_peer_refused_total", counter, "Links refused at the peer listener.", nil}

	ringVersion  = metric{"bucketring_ring_version", gauge, "Number of the ring in use, counted by this node.", nil}
	ringOwned    = metric{"bucketring_ring_owned_partitions", gauge, "Partitions this node owns.", nil}
	ringDisagree = metric{"bucketring_ring_disagreement_seconds", gauge, "For how long other members have seen another ring; 0 for less than 10 s.", nil}
	ringFailures = metric{"bucketring_ring_failures_total", counter, "Rings that could not be built.", nil}

	partitionsHere   = metric{"bucketring_partitions_held", gauge, "Partitions that are here; in time those that this node owns.", nil}
	handoverKeys     = metric{"bucketring_handover_keys_total", counter, "Counters that moved between nodes.", []string{"direction", "result"}}
	handoverDuration = metric{"bucketring_handover_duration_seconds", gauge, "Time until all partitions were here, after a change of the ring.", nil}
	handoverFreeze   = metric{"bucketring_handover_longest_freeze_seconds", gauge, "Longest that a partition was frozen to be given away.", nil}
	copied           = metric{"bucketring_replication_records_total", counter, "Counters copied to the next owner, again after each change.", nil}
	uncopied         = metric{"bucketring_replication_dropped_total", counter, "Counters of others that were not copied here for want of memory.", nil}
	replicationLag   = metric{"bucketring_replication_lag_seconds", gauge, "Age of the copies of this node's counters, at most.", nil}
	acting           = metric{"bucketring_acting_partitions", gauge, "Partitions decided here for a node that nobody hears.", nil}
	guardedParts     = metric{"bucketring_guarded_partitions", gauge, "Partitions whose closed limits wait for a node that is missing.", nil}
	pauses           = metric{"bucketring_pauses_total", counter, "Times that this node was paused and asked the others before it went on.", nil}

	diskOK      = metric{"bucketring_data_dir_ok", gauge, "1 if the last write to --data-dir succeeded.", nil}
	diskBytes   = metric{"bucketring_data_dir_written_bytes_total", counter, "Bytes written to --data-dir.", nil}
	diskErrors  = metric{"bucketring_data_dir_errors_total", counter, "Writes to --data-dir that failed.", nil}
	diskDamaged = metric{"bucketring_data_dir_damage_total", counter, "What was wrong with the files at the start: torn logs, files put aside.", []string{"kind"}}

	members       = metric{"bucketring_members", gauge, "Members this node knows, by state.", []string{"state"}}
	gossipRefused = metric{"bucketring_gossip_rejected_total", counter, "Gossip messages refused, by what did not fit.", []string{"reason"}}
	gossipDropped = metric{"bucketring_gossip_dropped_total", counter, "Gossip messages dropped because a queue was full.", nil}
	gossipTCPOnly = metric{"bucketring_gossip_tcp_only_total", counter, "Probes that failed over UDP and worked over TCP.", nil}
	gossipKey     = metric{"bucketring_gossip_key_info", gauge, "Fingerprint of the key that encrypts gossip here, and of all keys.", []string{"key", "keys"}}
	keyMismatch   = metric{"bucketring_gossip_key_mismatch", gauge, "Members whose gossip keys are not this node's.", nil}
	rejoins       = metric{"bucketring_rejoins_total", counter, "Tries to find members that gossip lost.", nil}

	proofSuccess      = metric{"bucketring_proof_reload_success", gauge, "1 if the last load of the key file, of the tokens file, or of a certificate, had no error.", []string{"what"}}
	certificateExpiry = metric{"bucketring_tls_certificate_expiry_timestamp_seconds", gauge, "Unix time at which a certificate from a file expires, by who sees it: callers or peers.", []string{"shown_to"}}
	refusedCalls      = metric{"bucketring_refused_calls_total", counter, "Calls refused for want of a token that is known, or of the scope.", []string{"reason"}}

	clockStep = metric{"bucketring_clock_step_seconds", gauge, "How far the wall clock is from where it is believed to be.", nil}
	insecure  = metric{"bucketring_insecure", gauge, "1 if listeners are open to strangers.", nil}
	buildInfo = metric{"bucketring_build_info", gauge, "Version of the program and of Go.", []string{"version", "go"}}
)

// policyDecisions have the labels that their policy names, after these.
var policyDecisions = metric{"bucketring_policy_decisions_total", counter, "Decisions by policies that name labels, by these.", []string{"namespace", "limit", "result"}}

// A sink takes the values of one scrape.
type sink struct{ out chan<- prometheus.Metric }

// put sends one value. The label values are in the table's order.
func (s sink) put(m metric, value float64, labels ...string) {
	desc := prometheus.NewDesc(m.name, m.help, m.labels, nil)
	s.out <- prometheus.MustNewConstMetric(desc, m.kind, value, labels...)
}
