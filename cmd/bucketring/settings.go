// settings.go is the one table of what can be configured. Flags, environment
// names, the file's keys, their help and config print all come from it.

package main

import (
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"
)

// A setting is one key of the flat key space. Its flag is the key with hyphens
// for dots, its environment name BUCKETRING_ and the key in capitals with
// underscores.
type setting struct {
	key   string
	value any // the default, which gives the type
	help  string
}

// settings are sorted as an operator would read them.
func settings(dev bool) []setting {
	gossip, peers, redis := "127.0.0.1:7752", "127.0.0.1:7755", ""
	if dev {
		gossip, peers, redis = "", "", "127.0.0.1:7754"
	}
	return slices.Concat([]setting{
		{"node.name", "", "name of this node, stable over restarts, 1 to 63 bytes of a-z 0-9 . - (default the host name)"},
		{"node.zone", "", "failure domain of this node, at most 16 bytes, which members show"},
		{"listen.http", "127.0.0.1:7750", "address of the JSON API; empty switches it off"},
		{"listen.grpc", "127.0.0.1:7751", "address of the gRPC API; empty switches it off"},
		{"listen.gossip", gossip, "address of gossip, TCP and UDP; empty for a node that stays alone"},
		{"listen.admin", "127.0.0.1:7753", "address of metrics, pprof and probes; empty switches it off"},
		{"listen.resp", redis, "address for Redis clients, on loopback; empty switches it off"},
		{"listen.peer", peers, "address for other nodes' calls; empty for a node that stays alone"},
		{"advertise-addr", "", "host under which other nodes reach this one, or a template such as {{ GetPrivateIP }}"},
		{"cluster.join", []string{}, "other nodes, comma separated: host:port, dns+host:port, dnssrv+name, file+path or exec+path"},
		{"cluster.label", "", "name of the cluster; nodes with another label do not hear each other"},
		{"cluster.bootstrap-after", 10 * time.Second, "how long to look for other nodes before starting alone"},
		{"policies", "", "policy file, or folder of them, to load and watch; empty serves only limits that come with the call"},
		{"key-file", "", "file with the cluster's secrets, made by: bucketring keyring init FILE"},
		{"tokens-file", "", "file with the tokens of callers, made by: bucketring token add FILE ID; empty lets everybody in"},
		{"tls.cert", "", "certificate that callers see, in PEM, with those behind it; empty serves in clear"},
		{"tls.key", "", "its private key, in PEM"},
		{"tls.client-ca", "", "authorities of the certificates that clients must show, in PEM; empty asks for none"},
		{"tls.peer-cert", "", "certificate that other nodes see, in PEM, with this node's name; empty mints one from the key file"},
		{"tls.peer-key", "", "its private key, in PEM"},
		{"tls.peer-ca", "", "authorities of all nodes' certificates, in PEM"},
		{"insecure", false, "allow listeners beyond loopback without a key file: anyone who reaches them is trusted"},
		{"data-dir", "", "folder for counters of an hour and longer, levels and long leases; empty keeps them in memory alone"},
		{"data-sync", "interval", "when what was written must survive a power cut: interval (each second) or never"},
		{"forward-budget", 25 * time.Millisecond, "how long a call may wait for the node that owns its key"},
		{"resp.on-unavailable", "local", "what decides CL.THROTTLE while the owner of a key is away: local, allow or deny"},
		{"resp.forward-budget", 10 * time.Millisecond, "how long a Redis client's command may wait for the node that owns its key"},
		{"resp.idle-timeout", 5 * time.Minute, "how long a Redis client may say nothing; 0 is for ever"},
		{"resp.idle-expiry", 24 * time.Hour, "how long a Redis counter without an expiry is kept that nobody uses"},
	}, foreignSettings(), []setting{
		{"max-keys", int64(0), "most counters kept; 0 leaves it to max-memory"},
		{"max-memory", "", "most memory for counters, such as 512MiB (default 60 % of the memory limit)"},
		{"drain-timeout", 30 * time.Second, "most time from SIGTERM to exit"},
		{"drain-linger", 5 * time.Second, "how long a node answers on after it has handed over, because load balancers learn late"},
		{"log.level", "info", "least level to log: debug, info, warn or error"},
		{"log.format", "text", "log as text or json"},
		{"log.keys", false, "show keys of callers as they are, in the log and to top --keys; else they are hashes"},
	})
}

// foreignSettings are about callers who speak as to another limiter.
func foreignSettings() []setting {
	return []setting{
		{"envoy.charge", "each", "what a refused call to a domain in Envoy's dialect charges: each (every descriptor) or all_or_nothing"},
		{"envoy.response-headers", "auto", "rate headers in answers to Envoy: auto (of policies, not of the dialect), on or off"},
		{"envoy.header-limit", "RateLimit-Limit", "header of the dialect with the limit"},
		{"envoy.header-remaining", "RateLimit-Remaining", "header of the dialect with what is left"},
		{"envoy.header-reset", "RateLimit-Reset", "header of the dialect with the seconds until the window ends"},
		{"envoy.raw-body", "on", "a policy's body in refusals to Envoy: on or off"},
		{"envoy.dynamic-metadata", false, "tell Envoy's later filters what was decided"},
		{"envoy.merge-domains", false, "let several files in Envoy's dialect make one domain"},
		{"envoy.shadow", false, "let all calls to domains in Envoy's dialect pass; their statuses say what would have been"},
		{"envoy.idle-expiry", time.Duration(0), "drop a counter of Envoy's dialect that was not charged for so long; 0 is never"},
		{"envoy.near-limit-ratio", "0.8", "part of a limit from which on metrics of Envoy's dialect call it near"},
		{"envoy.metrics", false, "metrics under the names of envoyproxy/ratelimit, by domain and rule"},
		{"grpc-reflection", false, "tell callers of the gRPC API which services there are"},
		{"gubernator.max-clock-skew", "1s", "how far created_at of a Gubernator client may be from this cluster's clock; 0 ignores it, unlimited trusts it"},
		{"gubernator.zone", "UTC", "time zone in which Gregorian intervals of Gubernator clients begin"},
		{"gubernator.multi-region", "refuse", "what becomes of Gubernator's MULTI_REGION, which nothing here does: refuse or ignore"},
		{"gubernator.retry-after", false, "tell Gubernator clients retry_after_ms in the metadata of OVER_LIMIT"},
		{"gubernator.max-key-length", int64(512), "most bytes of name and unique_key of a Gubernator client together"},
	}
}

func (s *setting) flag() string { return strings.ReplaceAll(s.key, ".", "-") }

func (s *setting) env() string {
	return "BUCKETRING_" + strings.ToUpper(strings.NewReplacer(".", "_", "-", "_").Replace(s.key))
}

// secret reports whether config print must not show the value. No setting takes
// a secret itself so far; files hold them.
func (s *setting) secret() bool { return false }

// addFlags declares every setting as a flag. It looks nothing up.
func addFlags(flags *pflag.FlagSet, table []setting) {
	for _, s := range table {
		help := s.help + " [" + s.env() + "]"
		switch value := s.value.(type) {
		case string:
			flags.String(s.flag(), value, help)
		case bool:
			flags.Bool(s.flag(), value, help)
		case int64:
			flags.Int64(s.flag(), value, help)
		case time.Duration:
			flags.Duration(s.flag(), value, help)
		case []string:
			flags.StringSlice(s.flag(), value, help)
		}
	}
	flags.String("config", "", "YAML file with settings [BUCKETRING_CONFIG]")
}
