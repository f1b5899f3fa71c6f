// decode.go turns settings into types and says what is wrong with them.

package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/knadh/koanf/v2"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/internal/envoyrls"
)

func (src *source) decode() (*config, error) {
	d := decoder{values: src.values}
	cfg := &config{
		NodeName: d.text("node.name"), NodeZone: d.text("node.zone"),
		Listen: listen{
			HTTP: d.address("listen.http"), GRPC: d.address("listen.grpc"), Gossip: d.address("listen.gossip"),
			Admin: d.address("listen.admin"), RESP: d.address("listen.resp"), Peer: d.address("listen.peer"),
		},
		RESP: respConfig{Unavailable: d.unavailable("resp.on-unavailable"), Budget: d.duration("resp.forward-budget"), Idle: d.duration("resp.idle-timeout"), Expiry: d.longer("resp.idle-expiry", time.Second)},
		Envoy: envoyrls.Settings{
			AllOrNothing: d.choice("envoy.charge", "each", "all_or_nothing") == "all_or_nothing", ResponseHeaders: d.either("envoy.response-headers"),
			HeaderLimit: d.text("envoy.header-limit"), HeaderRemaining: d.text("envoy.header-remaining"), HeaderReset: d.text("envoy.header-reset"),
			RawBody: d.either("envoy.raw-body"), DynamicMetadata: d.boolean("envoy.dynamic-metadata"), Shadow: d.boolean("envoy.shadow"),
			IdleExpiry: d.duration("envoy.idle-expiry"), NearLimitRatio: d.ratio("envoy.near-limit-ratio"), Metrics: d.boolean("envoy.metrics"),
		},
		MergeDomains: d.boolean("envoy.merge-domains"), Reflection: d.boolean("grpc-reflection"),
		Gubernator: gubernatorConfig{
			Skew: d.skew("gubernator.max-clock-skew"), Zone: d.zone("gubernator.zone"), RetryAfter: d.boolean("gubernator.retry-after"),
			Lenient: d.choice("gubernator.multi-region", "refuse", "ignore") == "ignore", MaxKeyLen: max(d.number("gubernator.max-key-length"), 1),
		},
		Advertise: d.text("advertise-addr"),
		Cluster: clusterConfig{
			Join: d.seeds("cluster.join"), Label: d.text("cluster.label"), BootstrapAfter: d.duration("cluster.bootstrap-after"),
		},
		Policies: d.text("policies"), KeyFile: d.text("key-file"), TokensFile: d.text("tokens-file"), TLS: d.pair(), PeerTLS: d.peerPair(), Insecure: d.boolean("insecure"), Budget: d.duration("forward-budget"),
		MaxKeys: d.number("max-keys"), MaxMemory: d.bytes("max-memory"), Drain: d.duration("drain-timeout"), Linger: d.duration("drain-linger"),
		DataDir: d.text("data-dir"), DataSync: d.choice("data-sync", "interval", syncNever),
		LogLevel: d.choice("log.level", "debug", "info", "warn", "error"),
		LogJSON:  d.choice("log.format", "text", "json") == "json", LogKeys: d.boolean("log.keys"),
	}
	if cfg.NodeName == "" {
		host, err := os.Hostname()
		if err != nil {
			d.fail("node.name", "give one: the host has no name")
		}
		cfg.NodeName = strings.ToLower(host)
	}
	if !nodeName.MatchString(cfg.NodeName) {
		d.fail("node.name", "%q is not 1 to 63 bytes of a-z, 0-9, dot and hyphen", cfg.NodeName)
	}
	if !zoneName.MatchString(cfg.NodeZone) {
		d.fail("node.zone", "%q is not at most 16 printable bytes without spaces", cfg.NodeZone)
	}
	if (cfg.Listen.Gossip == "") != (cfg.Listen.Peer == "") {
		d.fail("listen.peer", "listen.gossip and listen.peer must both be given, or both be empty for a node that stays alone")
	}
	if cfg.Listen.Gossip == "" && len(cfg.Cluster.Join) > 0 {
		d.fail("cluster.join", "a node without listen.gossip cannot join others")
	}
	return cfg, errors.Join(d.problems...)
}

var (
	nodeName = regexp.MustCompile(`^[a-z0-9.-]{1,63}$`)
	zoneName = regexp.MustCompile(`^[!-~]{0,16}$`)
)

// A decoder turns values into types and gathers what is wrong with them.
type decoder struct {
	values   *koanf.Koanf
	problems []error
}

func (d *decoder) fail(key, format string, args ...any) {
	d.problems = append(d.problems, fmt.Errorf("%s: "+format, append([]any{key}, args...)...))
}

func (d *decoder) text(key string) string { return d.values.String(key) }

// pair reads the files of the certificate that callers see.
func (d *decoder) pair() tlsConfig {
	files := tlsConfig{d.text("tls.cert"), d.text("tls.key"), d.text("tls.client-ca"), [3]string{"tls-cert", "tls-key", "tls-client-ca"}}
	if (files.Cert == "") != (files.Key == "") {
		d.fail("tls.key", "tls.cert and tls.key must both be given, or both be empty to serve in clear")
	}
	if files.CA != "" && files.Cert == "" {
		d.fail("tls.client-ca", "clients show certificates over TLS alone: give tls.cert and tls.key too")
	}
	return files
}

// peerPair reads the files of the certificate that other nodes see.
func (d *decoder) peerPair() tlsConfig {
	files := tlsConfig{d.text("tls.peer-cert"), d.text("tls.peer-key"), d.text("tls.peer-ca"), [3]string{"tls-peer-cert", "tls-peer-key", "tls-peer-ca"}}
	if n := len(files.Cert) * len(files.Key) * len(files.CA); n == 0 && files.Cert+files.Key+files.CA != "" {
		d.fail("tls.peer-cert", "tls.peer-cert, tls.peer-key and tls.peer-ca must all be given, or all be empty for certificates that nodes mint from the key file")
	}
	if files.Cert != "" && d.text("key-file") == "" {
		d.fail("tls.peer-cert", "whoever has a certificate of tls.peer-ca could pass for a node: nodes prove by the cluster's secret that they are some, so %s", cureKeys)
	}
	return files
}

// address reads host:port, or nothing.
func (d *decoder) address(key string) string {
	text := d.text(key)
	if text != "" && !isAddress(text) {
		d.fail(key, "%q is not host:port with a port from 0 to 65535", text)
	}
	return text
}

func isAddress(text string) bool {
	_, port, err := net.SplitHostPort(text)
	if err != nil {
		return false
	}
	_, err = strconv.ParseUint(port, 10, 16)
	return err == nil
}

// seeds reads where other nodes may be.
func (d *decoder) seeds(key string) []string {
	all := d.list(key)
	for _, seed := range all {
		kind, rest, typed := strings.Cut(seed, "+")
		if !typed {
			kind, rest = "dns", seed
		}
		named := (kind == "dnssrv" || kind == "file") && rest != "" || kind == "exec" && filepath.IsAbs(rest)
		if !named && (kind != "dns" || !isAddress(rest)) {
			d.fail(key, "%q is none of host:port, dns+host:port, dnssrv+name, file+path and exec+path with the whole path", seed)
		}
	}
	return all
}

func (d *decoder) list(key string) []string {
	items := d.values.Strings(key)
	if text, ok := d.values.Get(key).(string); ok {
		items = strings.Split(text, ",")
	}
	var all []string
	for _, item := range items {
		if item = strings.TrimSpace(item); item != "" {
			all = append(all, item)
		}
	}
	return all
}

func (d *decoder) boolean(key string) bool {
	switch fmt.Sprint(d.values.Get(key)) {
	case "true", "1":
		return true
	case "false", "0":
		return false
	}
	d.fail(key, "%v is not true or false", d.values.Get(key))
	return false
}

func (d *decoder) duration(key string) time.Duration {
	text := fmt.Sprint(d.values.Get(key))
	v, err := time.ParseDuration(text)
	if err != nil || v < 0 {
		d.fail(key, "%q is not a duration such as 250ms or 30s", text)
	}
	return v
}

// longer reads a duration that is not shorter than least.
func (d *decoder) longer(key string, least time.Duration) time.Duration {
	v := d.duration(key)
	if v < least {
		d.fail(key, "%v is too short: give at least %v", v, least)
	}
	return v
}

// skew reads a duration, or unlimited, which is below 0.
func (d *decoder) skew(key string) time.Duration {
	if d.text(key) == "unlimited" {
		return -1
	}
	return d.duration(key)
}

// either reads a switch.
func (d *decoder) either(key string) envoyrls.Switch {
	v, err := envoyrls.ParseSwitch(d.text(key))
	if err != nil {
		d.fail(key, "%q is not one of auto, on, off", d.text(key))
	}
	return v
}

// ratio reads a number above 0 and up to 1.
func (d *decoder) ratio(key string) float64 {
	v, err := strconv.ParseFloat(d.text(key), 64)
	if err != nil || !(v > 0 && v <= 1) {
		d.fail(key, "%q is not a number above 0 and up to 1", d.text(key))
	}
	return v
}

func (d *decoder) zone(key string) *time.Location {
	zone, err := time.LoadLocation(d.text(key))
	if err != nil || d.text(key) == "Local" || d.text(key) == "" {
		d.fail(key, "%q is no IANA time zone such as Europe/Berlin", d.text(key))
	}
	return zone
}

func (d *decoder) number(key string) int64 {
	var n int64
	if _, err := fmt.Sscanf(fmt.Sprint(d.values.Get(key)), "%d", &n); err != nil || n < 0 || fmt.Sprint(n) != fmt.Sprint(d.values.Get(key)) {
		d.fail(key, "%v is not a whole number of 0 or more", d.values.Get(key))
	}
	return n
}

// bytes reads a size with the suffixes that limits know.
func (d *decoder) bytes(key string) int64 {
	text := d.values.String(key)
	if text == "" {
		return 0
	}
	limits, err := bucketring.Parse(text + "/s")
	if err != nil || len(limits) != 1 || strings.ContainsAny(text, "/ ,") {
		d.fail(key, "%q is not a size such as 512MiB", text)
		return 0
	}
	return limits[0].Amount
}

// unavailable reads what decides without the owner.
func (d *decoder) unavailable(key string) bucketring.Unavailable {
	word := d.choice(key, "local", "allow", "deny")
	for _, u := range []bucketring.Unavailable{bucketring.UnavailableAllow, bucketring.UnavailableDeny} {
		if u.String() == word {
			return u
		}
	}
	return bucketring.UnavailableLocal
}

func (d *decoder) choice(key string, words ...string) string {
	word := d.values.String(key)
	if !slices.Contains(words, word) {
		d.fail(key, "%q is not one of %s", word, strings.Join(words, ", "))
	}
	return word
}
