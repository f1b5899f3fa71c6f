// envoy.go has metrics of the Envoy door under the names of envoyproxy/ratelimit, so that
// dashboards for it go on working.

package metrics

import (
	"time"
)

// Envoy is what the Envoy door counts. Numbers are since the start.
type Envoy struct {
	Known                          bool   // show all under the names of envoyproxy/ratelimit as well
	UnknownDomains, Degraded       uint64 // calls that pass; descriptors decided without the owner
	Calls, Invalid, Failed         uint64 // of its method, refused as malformed, not decided
	LoadsThatWorked, LoadsThatDont uint64 // of policies
	Rules                          []EnvoyRule
}

// An EnvoyRule is hits of a rule, by its first two levels.
type EnvoyRule struct {
	Domain, Key1, Key2                                         string
	TotalHits, OverLimit, NearLimit, WithinLimit, ShadowedHits uint64
}

var (
	ruleLabels   = []string{"domain", "key1", "key2"}
	envoyHits    = metric{"ratelimit_service_rate_limit_total_hits", counter, "Hits of a rule.", ruleLabels}
	envoyOver    = metric{"ratelimit_service_rate_limit_over_limit", counter, "Hits over the limit.", ruleLabels}
	envoyNear    = metric{"ratelimit_service_rate_limit_near_limit", counter, "Hits near the limit.", ruleLabels}
	envoyWithin  = metric{"ratelimit_service_rate_limit_within_limit", counter, "Hits of calls that were within the limit.", ruleLabels}
	envoyShadow  = metric{"ratelimit_service_rate_limit_shadow_mode", counter, "Hits over the limit of a rule in shadow mode.", ruleLabels}
	envoyErrors  = metric{"ratelimit_service_should_rate_limit_error", counter, "Calls that ended in an error: service_error is of the caller, redis_error of counters that nobody could reach.", []string{"err_type"}}
	envoyCalls   = metric{"ratelimit_service_total_requests", counter, "Calls.", []string{"grpc_method"}}
	envoyTime    = metric{"ratelimit_service_response_time_seconds", gauge, "Time that a call took.", []string{"grpc_method"}}
	envoyLoaded  = metric{"ratelimit_service_config_load_success", counter, "Loads of policies that had no error.", nil}
	envoyLoadBad = metric{"ratelimit_service_config_load_error", counter, "Loads of policies that had one.", nil}
)

const envoyMethod = "ShouldRateLimit"

// TimeEnvoy returns what to tell how long each call of the Envoy door took.
func (m *Metrics) TimeEnvoy() func(time.Duration) {
	times := histogram(envoyTime, []float64{1e-4, 1e-3, 5e-3, 1e-2, 2e-2, 0.1})
	m.registry.MustRegister(times)
	observer := times.WithLabelValues(envoyMethod)
	return func(took time.Duration) { observer.Observe(took.Seconds()) }
}

func collectEnvoy(s sink, e Envoy) {
	s.put(unknownDomains, float64(e.UnknownDomains))
	s.put(envoyDegraded, float64(e.Degraded))
	if !e.Known {
		return
	}
	s.put(envoyCalls, float64(e.Calls), envoyMethod)
	s.put(envoyErrors, float64(e.Invalid), "service_error")
	s.put(envoyErrors, float64(e.Failed), "redis_error")
	s.put(envoyLoaded, float64(e.LoadsThatWorked))
	s.put(envoyLoadBad, float64(e.LoadsThatDont))
	for _, r := range e.Rules {
		s.put(envoyHits, float64(r.TotalHits), r.Domain, r.Key1, r.Key2)
		s.put(envoyOver, float64(r.OverLimit), r.Domain, r.Key1, r.Key2)
		s.put(envoyNear, float64(r.NearLimit), r.Domain, r.Key1, r.Key2)
		s.put(envoyWithin, float64(r.WithinLimit), r.Domain, r.Key1, r.Key2)
		s.put(envoyShadow, float64(r.ShadowedHits), r.Domain, r.Key1, r.Key2)
	}
}
