// dialect_document.go is the shape of a file in Envoy's dialect, with the tags of
// document.go.

package policy

import (
	"reflect"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

type domainDoc struct {
	mapping
	Domain      text            `key:"domain" need:"y" form:"free" doc:"The name that calls give."`
	Descriptors []descriptorDoc `key:"descriptors" of:"descriptor" doc:"The top level of the tree."`
}

type descriptorDoc struct {
	mapping
	Key            text            `key:"key" need:"y" form:"free" doc:"The key of an entry."`
	Value          text            `key:"value" form:"free" doc:"Its value; * stands for any characters. Default any value."`
	RateLimit      *rateLimitDoc   `key:"rate_limit" of:"rate_limit" doc:"What is limited here. Default nothing."`
	Descriptors    []descriptorDoc `key:"descriptors" of:"descriptor" doc:"What may follow."`
	ShadowMode     text            `key:"shadow_mode" form:"truth" doc:"Count and never deny."`
	QuotaMode      text            `key:"quota_mode" form:"truth" doc:"Deny only if all quotas of a call are over."`
	DetailedMetric text            `key:"detailed_metric" form:"truth" doc:"Metrics have the values of requests."`
	ValueToMetric  text            `key:"value_to_metric" form:"truth" doc:"Metrics have the value of the request here."`
	ShareThreshold text            `key:"share_threshold" form:"truth" doc:"All values that the pattern matches share a counter."`
	Metadata       raw             `key:"metadata" doc:"For dynamic metadata: any map."`
}

type rateLimitDoc struct {
	mapping
	Requests  text         `key:"requests_per_unit" form:"u32" doc:"How many. Default 0."`
	Unit      text         `key:"unit" form:"free" doc:"second, minute, hour, day, week, month or year."`
	Unlimited text         `key:"unlimited" form:"truth" doc:"No limit."`
	Name      text         `key:"name" form:"free" doc:"How replaces names it."`
	Replaces  []replaceDoc `key:"replaces" of:"replaces" doc:"Rules that do not count where this one is met."`
}

type replaceDoc struct {
	mapping
	Name text `key:"name" need:"y" form:"free" doc:"The name of a rule."`
}

// dialectBelow says what the values of some keys are made of.
var dialectBelow = map[string]reflect.Type{
	"descriptors": reflect.TypeFor[descriptorDoc](),
	"rate_limit":  reflect.TypeFor[rateLimitDoc](),
	"replaces":    reflect.TypeFor[replaceDoc](),
}

// isDialect reports whether a file is in Envoy's dialect.
func isDialect(root *yaml.Node) bool {
	return child(root, "apiVersion") == nil && (child(root, "domain") != nil || child(root, "descriptors") != nil)
}

// A pruner takes out of a file what is accepted and ignored, and complains about what is
// nowhere allowed, so that the decoder finds known keys in their places.
type pruner struct {
	*problems
	notes  []Error
	places map[string]string // known keys, and where they belong
	keys   map[reflect.Type][]string
}

func newPruner(p *problems) *pruner {
	r := &pruner{problems: p, places: map[string]string{}, keys: map[reflect.Type][]string{}}
	for _, place := range []struct {
		name string
		t    reflect.Type
	}{
		{"the file", reflect.TypeFor[domainDoc]()}, {"a descriptor", reflect.TypeFor[descriptorDoc]()},
		{"rate_limit", reflect.TypeFor[rateLimitDoc]()}, {"replaces", reflect.TypeFor[replaceDoc]()},
	} {
		r.keys[place.t] = keysOf(fieldsOf(place.t))
		for _, key := range r.keys[place.t] {
			if r.places[key] != "" {
				r.places[key] += " or "
			}
			r.places[key] += place.name
		}
	}
	return r
}

// prune prunes a mapping that stands for a struct; t is nil where nothing belongs.
func (r *pruner) prune(n *yaml.Node, t reflect.Type) {
	if n.Kind != yaml.MappingNode {
		return
	}
	var kept []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		if r.pair(n.Content[i], n.Content[i+1], t) {
			kept = append(kept, n.Content[i], n.Content[i+1])
		}
	}
	n.Content = kept
}

// pair prunes the value of one key, and reports whether both stay.
func (r *pruner) pair(key, value *yaml.Node, t reflect.Type) bool {
	switch {
	case !sound(key):
		return false // that was said
	case key.ShortTag() != "!!str":
		r.at(key, "a key must be a text, found %s", describe(key))
		return false
	case r.places[key.Value] == "":
		r.at(key, "unknown key %s%s", word(key.Value), near(key.Value, r.keys[t]))
		return false
	}
	belongs := slices.Contains(r.keys[t], key.Value)
	if !belongs && t != nil {
		r.notes = append(r.notes, Error{
			File: r.file, Line: key.Line, Column: key.Column, Text: key.Value + " is ignored here: it belongs in " + r.places[key.Value],
		})
	}
	if key.Value == "metadata" {
		return belongs && !blank(key.Value, value)
	}
	below := dialectBelow[key.Value]
	if !belongs {
		below = nil
	}
	switch value.Kind {
	case yaml.MappingNode:
		r.prune(value, below)
	case yaml.SequenceNode:
		value.Content = slices.DeleteFunc(value.Content, func(item *yaml.Node) bool {
			if item.Kind != yaml.MappingNode {
				r.at(item, "an item of a list must be a mapping, found %s", describe(item))
				return true
			}
			r.prune(item, below)
			return false
		})
	}
	return belongs && !blank(key.Value, value)
}

// blank reports whether a value is as good as absent.
func blank(key string, value *yaml.Node) bool {
	empty := value.Kind == yaml.ScalarNode && value.Value == "" && slices.Contains([]string{"value", "name", "unit"}, key)
	return empty || value.ShortTag() == "!!null"
}

// checkU32 checks a number as YAML writes it.
func checkU32(text string) string {
	if _, err := parseU32(text); err != nil {
		return word(text) + " is no whole number of 0 to 4294967295"
	}
	return ""
}

func parseU32(text string) (uint32, error) {
	n, err := strconv.ParseUint(strings.TrimPrefix(strings.ReplaceAll(text, "_", ""), "+"), 0, 32)
	return uint32(n), err
}

// isTrue reads a truth value that was checked.
func isTrue(t text) bool {
	return t.set() && slices.Contains([]string{"true", "yes", "on", "y"}, strings.ToLower(t.Value))
}
