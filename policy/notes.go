// notes.go says what of a call is worth counting beside its decision.

package policy

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
// number, and the counter's key: the caller's plan is unknown, or has a custom value
// that no override gives.
func (c *Call) Unplanned(yield func(limit, key string)) {
	for i := range c.items {
		it := &c.items[i]
		if k := it.value.kind; (k == valueDeny || k == valueCustom) && it.limit.byPlan != nil {
			yield(it.limit.name, counterKey(&c.caller.attributes, it.limit.key))
		}
	}
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
