// settings.go is what an operator can choose.

package envoyrls

import (
	"fmt"
	"time"
)

// Settings are what an operator can choose. The zero value is what Envoy expects.
type Settings struct {
	// AllOrNothing has a call of the dialect that is refused charge nothing. Without it every
	// descriptor is charged whatever the answer.
	AllOrNothing bool
	// ResponseHeaders adds headers to answers; by default in native calls only. Switch it off
	// where Envoy writes its own.
	ResponseHeaders Switch
	// HeaderLimit, HeaderRemaining and HeaderReset name the headers of the dialect. Empty
	// means RateLimit-Limit, RateLimit-Remaining and RateLimit-Reset.
	HeaderLimit, HeaderRemaining, HeaderReset string
	// RawBody adds a policy's body to refusals of native calls, with its Content-Type; by
	// default it is on.
	RawBody Switch
	// DynamicMetadata tells later filters what was decided.
	DynamicMetadata bool
	// Shadow lets all calls of the dialect pass. Their statuses say what would have been.
	Shadow bool
	// IdleExpiry, if not 0, drops a counter of the dialect that was not charged for so long, in
	// whole seconds: the proxy that would have given back what it took may be gone.
	IdleExpiry time.Duration
	// NearLimitRatio is the part of a limit from which on metrics call it near. 0 means 0.8.
	NearLimitRatio float64
	// Metrics counts by domain and rule: Stats has Rules then.
	Metrics bool
}

// DefaultNearLimitRatio is the NearLimitRatio that a 0 means.
const DefaultNearLimitRatio = 0.8

func (s Settings) withDefaults() Settings {
	for _, name := range []struct {
		of        *string
		otherwise string
	}{
		{&s.HeaderLimit, "RateLimit-Limit"}, {&s.HeaderRemaining, "RateLimit-Remaining"}, {&s.HeaderReset, "RateLimit-Reset"},
	} {
		if *name.of == "" {
			*name.of = name.otherwise
		}
	}
	if s.NearLimitRatio == 0 {
		s.NearLimitRatio = DefaultNearLimitRatio
	}
	return s
}

// idleSeconds is IdleExpiry in whole seconds, rounded up.
func (s *Settings) idleSeconds() int64 {
	return int64((s.IdleExpiry + time.Second - 1) / time.Second)
}

// A Switch is on, off, or as its place has it by default. The zero value is the last.
type Switch uint8

// The positions of a Switch.
const (
	Auto Switch = iota
	On
	Off
)

// on says what the switch means where the default is otherwise.
func (s Switch) on(otherwise bool) bool { return s == On || s == Auto && otherwise }

// String returns the position as ParseSwitch reads it.
func (s Switch) String() string {
	return [...]string{"auto", "on", "off"}[min(s, Off)]
}

// ParseSwitch reads auto, on or off; true and false mean the same as the last two.
func ParseSwitch(text string) (Switch, error) {
	switch text {
	case "", "auto":
		return Auto, nil
	case "on", "true":
		return On, nil
	case "off", "false":
		return Off, nil
	}
	return Auto, fmt.Errorf("envoyrls: %q is neither auto, on nor off", text)
}
