// watch.go tells how the ring changes, while it does.

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// A sight is a cluster as one node sees it.
type sight struct {
	ring    ringAnswer // with its owners
	members membersAnswer
}

// A ringChange is what differs between two sights: one line of output.
type ringChange struct {
	Time        time.Time `json:"time"`
	Ring        uint64    `json:"ring"`
	Fingerprint string    `json:"fingerprint"`
	Joined      []string  `json:"joined"`
	Left        []string  `json:"left"`
	Moved       int       `json:"moved"` // partitions
	Share       float64   `json:"share"` // of all partitions
	Moves       []move    `json:"moves"`
	// States has the members whose state is another, or that are new.
	States []memberState `json:"states"`
	// Agree says whether all active members have the ring, as members does.
	Agree string `json:"agree"`
}

type move struct {
	From       string `json:"from"`
	To         string `json:"to"`
	Partitions int    `json:"partitions"`
}

type memberState struct {
	Name  string `json:"name"`
	State string `json:"state"`
}

// watchRing prints what changes until the context is done. A node that does not answer for a
// while is asked on.
func watchRing(cmd *cobra.Command, every func(context.Context, func(context.Context) error) error) error {
	asJSON, err := wantsJSON(cmd)
	if err != nil {
		return err
	}
	var last *sight
	silent := false
	return every(cmd.Context(), func(ctx context.Context) error {
		now, err := lookAround(ctx, askerOf(cmd))
		switch {
		case err != nil && (last == nil || ctx.Err() != nil):
			return err
		case err != nil:
			if !silent {
				fmt.Fprintln(cmd.ErrOrStderr(), err.Error()+"; asking on")
			}
			silent = true
			return nil
		}
		silent = false
		change := now.since(last)
		if last != nil && !change.any(last) {
			return nil
		}
		last = now
		return asExit(change.print(cmd.OutOrStdout(), asJSON))
	})
}

// lookAround asks a node what it sees.
func lookAround(ctx context.Context, ask *asker) (*sight, error) {
	s := new(sight)
	if _, err := ask.call(ctx, http.MethodGet, "/v1/ring?owners=1", nil, &s.ring); err != nil {
		return nil, err
	}
	_, err := ask.call(ctx, http.MethodGet, "/v1/members", nil, &s.members)
	return s, err
}

// since compares with an earlier sight, nil for none: then everything is new and nothing moves.
func (s *sight) since(before *sight) ringChange {
	c := ringChange{
		Time: time.Now().UTC(), Ring: s.ring.Version, Fingerprint: s.ring.Fingerprint, Agree: s.members.agreement(),
		Joined: []string{}, Left: []string{}, Moves: []move{}, States: []memberState{},
	}
	if before == nil {
		before = &sight{ring: ringAnswer{Owners: s.ring.Owners}}
	}
	old, now := before.names(), s.names()
	for _, name := range now {
		if !slices.Contains(old, name) {
			c.Joined = append(c.Joined, name)
		}
	}
	for _, name := range old {
		if !slices.Contains(now, name) {
			c.Left = append(c.Left, name)
		}
	}
	for _, m := range s.members.Members {
		if !slices.ContainsFunc(before.members.Members, func(o memberAnswer) bool { return o.Name == m.Name && o.State == m.State }) {
			c.States = append(c.States, memberState{m.Name, m.State})
		}
	}
	c.count(before.ring.Owners, s.ring.Owners)
	return c
}

func (s *sight) names() (all []string) {
	for _, m := range s.ring.Members {
		all = append(all, m.Name)
	}
	return all
}

// count adds up who gives what to whom.
func (c *ringChange) count(before, now []string) {
	for p := range min(len(before), len(now)) {
		if before[p] == now[p] {
			continue
		}
		c.Moved++
		i := slices.IndexFunc(c.Moves, func(m move) bool { return m.From == before[p] && m.To == now[p] })
		if i < 0 {
			i, c.Moves = len(c.Moves), append(c.Moves, move{From: before[p], To: now[p]})
		}
		c.Moves[i].Partitions++
	}
	c.Share = float64(c.Moved) / float64(max(len(now), 1))
	slices.SortFunc(c.Moves, func(a, b move) int {
		return strings.Compare(a.From+"\x00"+a.To, b.From+"\x00"+b.To)
	})
}

// any reports whether something changed since a sight.
func (c *ringChange) any(before *sight) bool {
	return c.Fingerprint != before.ring.Fingerprint || len(c.States) > 0 || c.Agree != before.members.agreement()
}

func (c *ringChange) print(out io.Writer, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(out).Encode(c)
	}
	_, err := io.WriteString(out, c.text())
	return err
}

// text is the change in one line, and one more for each pair of nodes between which partitions
// move.
func (c *ringChange) text() string {
	parts := []string{}
	if len(c.Joined) > 0 {
		parts = append(parts, strings.Join(c.Joined, ", ")+" on it")
	}
	if len(c.Left) > 0 {
		parts = append(parts, strings.Join(c.Left, ", ")+" off it")
	}
	if c.Moved > 0 {
		parts = append(parts, fmt.Sprintf("%s of partitions move: %d", percent(c.Share), c.Moved))
	}
	for _, m := range c.States {
		parts = append(parts, m.Name+" is "+m.State)
	}
	var text strings.Builder
	fmt.Fprintf(&text, "%s ring %d: %s\n", c.Time.Format("15:04:05"), c.Ring, strings.Join(append(parts, c.Agree), "; "))
	for _, m := range c.Moves {
		fmt.Fprintf(&text, "         %s -> %s: %d partitions\n", m.From, m.To, m.Partitions)
	}
	return text.String()
}
