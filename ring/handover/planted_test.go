package handover

import (
	"fmt"
	"slices"
	"testing"
)

// A plant is a bug: it changes a message as it is sent, or what the machines on both
// ends know.
type plant func(from, to *sim, msg Msg) Msg

// planted are mistakes that the rules are there to prevent.
var planted = map[string]plant{
	"a grant counts as acknowledged when it is sent": func(from, _ *sim, msg Msg) Msg {
		if g, ok := msg.(Given); ok && g.How == Grant {
			f := &from.m.parts[g.Part].frozen
			f.acked, f.at = true, from.m.now+keepFrozen
		}
		return msg
	},
	"nobody says that a grant is in flight": func(_, _ *sim, msg Msg) Msg {
		if a, ok := msg.(Iam); ok {
			a.Fwd = Ref{}
			return a
		}
		return msg
	},
	"a stale generation is accepted": func(_, to *sim, msg Msg) Msg {
		if g, ok := msg.(Given); ok && g.How == Grant {
			to.m.parts[g.Part].seen = 0
		}
		return msg
	},
	"a node leaves without asking, and accepts what comes late": func(from, to *sim, msg Msg) Msg {
		switch msg := msg.(type) {
		case Bye:
			for _, n := range from.v.peers {
				from.m.drain.clear[n] = true
			}
		case Given:
			to.m.drain.done = to.m.drain.done && msg.How != Grant
		}
		return msg
	},
	"an offer counts as joined when it is sent": func(from, to *sim, msg Msg) Msg {
		if o, ok := msg.(Offer); ok {
			from.m.offerAcked(to.Node, Ack{Part: o.Part, Offer: o.ID})
		}
		return msg
	},
}

// TestModelFindsPlantedBugs holds the model itself against mistakes.
func TestModelFindsPlantedBugs(t *testing.T) {
	const most = 500
	for name, bug := range planted {
		t.Run(name, func(t *testing.T) {
			_, failed := sweep(most, bug)
			if failed == "" {
				t.Errorf("%d seeds found nothing", most)
			}
		})
	}
}

// TestSeedsReplay runs one seed twice.
func TestSeedsReplay(t *testing.T) {
	logOf := func() (text []string) {
		if _, err := simulate(8, nil, func(format string, args ...any) {
			text = append(text, fmt.Sprintf(format, args...))
		}); err != nil {
			t.Fatal(err)
		}
		return text
	}
	one, other := logOf(), logOf()
	if len(one) < 100 || !slices.Equal(one, other) {
		t.Errorf("the logs of one seed have %d and %d lines, want the same ones, and many", len(one), len(other))
	}
}
