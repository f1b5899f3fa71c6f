// upkeep.go holds the rules against the partitions that an event, or time, may have
// changed, and asks for a few wanted ones at a time.

package handover

import mathbits "math/bits"

// touch has the rules held against a partition after this event, and touchAll
// against all.
func (m *Machine) touch(p uint32) {
	m.busy[p/64] |= 1 << (p % 64)
	m.touched = append(m.touched, p)
}

func (m *Machine) touchAll() {
	for p := range m.parts {
		m.touch(uint32(p))
	}
}

// upkeepAll holds the rules against the partitions that are not at rest.
func (m *Machine) upkeepAll() {
	for i := range m.busy {
		for bits := m.busy[i]; bits != 0; bits &= bits - 1 {
			p := uint32(i*64 + mathbits.TrailingZeros64(bits))
			if m.upkeep(p); m.atRest(p) {
				m.busy[i] &^= 1 << (p % 64)
			}
		}
	}
}

// upkeepTouched holds them against those that this event was about, and asks for the
// next ones that are wanted.
func (m *Machine) upkeepTouched() {
	for i := 0; i < len(m.touched); i++ { // what this does may touch more
		m.upkeep(m.touched[i])
		for i+1 == len(m.touched) && len(m.waiting) > 0 && m.underWay < atOnce {
			m.askNext()
		}
	}
	for _, p := range m.touched {
		if m.atRest(p) {
			m.busy[p/64] &^= 1 << (p % 64)
		}
	}
	m.touched = m.touched[:0]
}

// askNext asks for the next partition that is wanted.
func (m *Machine) askNext() {
	p := m.waiting[0]
	m.waiting = m.waiting[1:]
	if pt := &m.parts[p]; pt.role == RolePending && !pt.asked {
		pt.asked = true
		m.underWay++
		m.ask(p)
		m.touch(p)
	}
}

// atRest reports whether time alone changes nothing in a partition. A state that was given
// and acknowledged is dropped with the next tellAll after its time.
func (m *Machine) atRest(p uint32) bool {
	pt := &m.parts[p]
	switch {
	case pt.role == RolePending, pt.role == RoleMoving, len(pt.offers) > 0, pt.frozen.copy.Gen != 0 && !pt.frozen.acked:
		return false
	case pt.role == RoleHold:
		return m.view.Owner(p) == m.self
	}
	return true
}
