package handover

// coverage counts what the rules did.
type coverage struct {
	fences, converted, leftovers, waitPending, waitFlight, waitSilent, claims, moves int
}

// marks are what a step may change.
type marks struct {
	fenced, frozen [parts]bool
	offers         [parts]int
	role           [parts]Role
	gen            [parts]Gen
}

func (c *coverage) before(s *sim) (b marks) {
	for p := range s.m.parts {
		pt := &s.m.parts[p]
		b.fenced[p] = pt.fence.Node != none
		b.frozen[p] = pt.frozen.copy.Gen != 0
		b.offers[p] = pt.waiting()
		b.role[p], b.gen[p] = pt.role, pt.gen
	}
	return b
}

func (c *coverage) after(s *sim, b marks) {
	for p := range s.m.parts {
		pt := &s.m.parts[p]
		if pt.fence.Node != none && !b.fenced[p] {
			c.fences++
		}
		if b.frozen[p] && pt.frozen.copy.Gen == 0 && pt.waiting() > b.offers[p] {
			c.converted++
		}
		if !b.frozen[p] && pt.role != RoleMoving && b.role[p] != RoleMoving && pt.waiting() > b.offers[p] {
			c.leftovers++
		}
		if pt.role == RoleHold && b.role[p] != RoleHold {
			if uint32(pt.gen) == 0 {
				c.claims++
			} else {
				c.moves++
			}
		}
		c.waits(s, uint32(p))
	}
}

func (c *coverage) waits(s *sim, p uint32) {
	pt := &s.m.parts[p]
	if pt.role != RolePending || pt.orphan.token == 0 {
		return
	}
	for _, n := range s.v.peers {
		a, ok := pt.orphan.answers[n]
		switch {
		case !ok:
			c.waitSilent++
		case a.Role == RolePending:
			c.waitPending++
		case s.m.inFlight(p, a.Fwd):
			c.waitFlight++
		}
	}
}

func (c *coverage) add(o coverage) {
	c.fences += o.fences
	c.converted += o.converted
	c.leftovers += o.leftovers
	c.waitPending += o.waitPending
	c.waitFlight += o.waitFlight
	c.waitSilent += o.waitSilent
	c.claims += o.claims
	c.moves += o.moves
}
