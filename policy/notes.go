// notes.go says what of a call is worth counting beside its decision.

package policy

import "strconv"

// Shadowed calls yield with the names of limits in shadow that would have denied
// the call. The groups have their States.
func (c *Call) Shadowed(yield func(limit string)) {
	for i := range c.items {
		if it := &c.items[i]; it.limit.mode == modeShadow && !c.state(it).Allowed {
			yield(it.limit.name)
		}
	}
}

// Unplanned calls yield with the names of limits that deny the call for want of a
// number, and by what that counts, as Counted says it: the caller's plan is unknown, or has
// a custom value that no override gives.
func (c *Call) Unplanned(yield func(limit, counted string)) {
	for i := range c.items {
		it := &c.items[i]
		if k := it.value.kind; (k == valueDeny || k == valueCustom) && it.limit.byPlan != nil {
			yield(it.limit.name, c.counted(it.limit))
		}
	}
}

// Counted says by which attributes of the call a limit counts, such as user=u1 plan=pro;
// empty for a limit that all calls share, and for one that the call does not meet. It is
// for people: other calls may have the same.
func (c *Call) Counted(limit string) string {
	for i := range c.items {
		if c.items[i].limit.name == limit {
			return c.counted(c.items[i].limit)
		}
	}
	return ""
}

func (c *Call) counted(l *limit) string {
	var room [128]byte
	b := room[:0]
	for _, slot := range l.key {
		if !c.caller.has(slot) {
			continue
		}
		if len(b) > 0 {
			b = append(b, ' ')
		}
		b = append(append(b, c.policy.names[slot]...), '=')
		if value := c.caller.values[slot]; plain(value) {
			b = append(b, value...)
		} else {
			b = strconv.AppendQuote(b, value)
		}
	}
	return string(b)
}

// plain reports whether a value can be read without quotes.
func plain(value string) bool {
	for i := range len(value) {
		if c := value[i]; c <= ' ' || c == '"' || c >= 0x7f {
			return false
		}
	}
	return value != ""
}

// LabelValues returns the call's values of the policy's Labels, in their order;
// empty ones where the call has none. nil if the policy has no labels.
func (c *Call) LabelValues() []string {
	if len(c.policy.labels) == 0 {
		return nil
	}
	values := make([]string, len(c.policy.labels))
	for i, name := range c.policy.labels {
		if slot, ok := c.policy.slots[name]; ok && c.caller.has(slot) {
			values[i] = c.caller.values[slot]
		} else if name == "endpoint" {
			values[i] = c.endpoint()
		}
	}
	return values
}

// endpoint is the pattern that the call's path has met.
func (c *Call) endpoint() string {
	for i := range c.items {
		w := &c.items[i].limit.when
		if w.paths != nil && c.caller.has(slotPath) {
			if at := w.pathOf(&c.caller); at >= 0 {
				return w.paths[at].text
			}
		}
	}
	return ""
}
