// demo.go shows the main job on this machine: real nodes hold one limit together.

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
)

func demoCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "demo", Short: "Watch three real nodes hold one limit together", Args: cobra.NoArgs,
		Long: `Starts three nodes on loopback, each a process of its own, sends real traffic
through all of them, adds a node, kills one and replaces the rest. Every step
prints what was admitted against what is allowed. Exit code 0 only if every
promise held, 3 if one did not.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			asJSON, err := wantsJSON(cmd)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), 2*time.Minute)
			defer cancel()
			d := &show{ctx: ctx, out: cmd.OutOrStdout()}
			if asJSON {
				d.out = io.Discard
			}
			if err = demo(d); asJSON {
				err = errors.Join(err, output(cmd, d.whole(err), nil))
			}
			return asExit(err)
		},
	}
	addOutput(cmd)
	return cmd
}

// demo plays all steps. Nothing that it started is left when it returns.
func demo(d *show) (err error) {
	f, err := newFleet()
	if f != nil {
		defer func() { err = errors.Join(err, f.close()) }()
	}
	if err != nil {
		return err
	}
	d.fleet = f
	fmt.Fprint(d.out, "bucketring: three nodes, one limit, no database\n\n")
	for _, step := range []func() error{
		d.startThree, d.oneKey, d.manyKeys, d.addOne, d.killOne, d.replaceAll, d.count,
	} {
		if err := step(); err != nil {
			return err
		}
	}
	if d.broken > 0 {
		fmt.Fprintf(d.out, "\n%d promises did not hold\n", d.broken)
		return &exit{code: exitDenied}
	}
	fmt.Fprint(d.out, "\nevery promise held\n")
	return nil
}

func (d *show) startThree() error {
	began := time.Now()
	d.say("start three nodes: own processes, encrypted gossip, mutual TLS between them")
	for _, name := range []string{"n1", "n2", "n3"} {
		if _, err := d.fleet.start(d.ctx, name); err != nil {
			return err
		}
	}
	if err := d.awaitMembers("n1", "n2", "n3"); err != nil {
		return err
	}
	m, err := d.members(d.fleet.serving()[0])
	if err != nil {
		return err
	}
	for _, one := range m.Members {
		d.tell("%s owns %s of the keys", one.Name, percent(one.Share))
	}
	d.promise(true, "all three see each other after %.1f s", time.Since(began).Seconds())
	return nil
}

func (d *show) oneKey() error {
	const limit, takes = 100, 300
	d.say("one key, limit %d/h: %d takes at once, through every node, half HTTP, half gRPC", limit, takes)
	t := d.traffic(spread(takes, func(int) string { return "alice" }), "100/h")
	d.promise(t.failed == 0, "calls that failed: %d", t.failed)
	d.promise(t.admitted["alice"] == limit, "admitted %d, allowed %d", t.admitted["alice"], limit)
	return nil
}

func (d *show) manyKeys() error {
	const keys, each, limit = 200, 20, 10
	d.say("%d keys, limit %d/h each: %d takes of every key, all nodes", keys, limit, each)
	t := d.traffic(spread(keys*each, func(i int) string { return fmt.Sprint("user:", i%keys) }), "10/h")
	exact := t.keysWith(limit)
	d.promise(t.failed == 0, "calls that failed: %d", t.failed)
	d.promise(exact == keys, "keys with exactly %d admitted: %d of %d", limit, exact, keys)
	d.tell("%d calls were decided by the node that was asked, %d by the key's owner", t.local, t.forwarded)
	return nil
}

// The keys whose counts go through all that follows.
const movedKeys, movedLimit, movedSpent = 60, 10, 4

func movedKey(i int) string { return fmt.Sprint("moved:", i%movedKeys) }

func (d *show) addOne() error {
	d.say("spend %d of %d on %d keys, then add a node under load", movedSpent, movedLimit, movedKeys)
	d.traffic(spread(movedKeys*movedSpent, movedKey), "10/h")
	load := d.load()
	_, err := d.fleet.start(d.ctx, "n4")
	if err == nil {
		err = d.awaitMembers("n1", "n2", "n3", "n4")
	}
	background := load()
	if err != nil {
		return err
	}
	m, err := d.members(d.fleet.serving()[0])
	if err != nil {
		return err
	}
	for _, one := range m.Members {
		if one.Name == "n4" {
			d.tell("n4 took over %s of the keys, with their counts", percent(one.Share))
		}
	}
	d.promise(background.failed == 0, "calls that failed meanwhile: %d of %d", background.failed, background.calls)
	d.tell("%d answers were not an owner's, as when this machine stands still", background.degraded)
	return nil
}

func (d *show) killOne() error {
	d.say("kill -9 one of four nodes under load")
	victim := d.fleet.serving()[1]
	load := d.load()
	victim.kill()
	began := time.Now()
	err := d.awaitMembers("n1", "n3", "n4")
	seen := time.Since(began)
	background := load()
	if err != nil {
		return err
	}
	d.promise(background.failed == 0, "calls that failed: %d of %d", background.failed, background.calls)
	d.tell("%d answers came from the copies of %s, or said that they were degraded", background.degraded, victim.name)
	d.promise(seen < 6*time.Second, "survivors agree that it is gone after %.1f s", seen.Seconds())
	return nil
}

func (d *show) replaceAll() error {
	d.say("replace every node, one by one, under load")
	old := d.fleet.serving()
	load := d.load()
	replaced, err := d.replace(old)
	background := load()
	if err != nil {
		return err
	}
	d.promise(replaced == len(old), "nodes that drained and ended with exit code 0: %d of %d", replaced, len(old))
	d.promise(background.failed == 0, "calls that failed: %d of %d", background.failed, background.calls)
	return nil
}

// count shows what is left of what was spent before everything changed.
func (d *show) count() error {
	d.say("none of the nodes that counted is left: %d more takes of each of the %d keys", 2*movedLimit, movedKeys)
	t := d.traffic(spread(movedKeys*2*movedLimit, movedKey), "10/h")
	left := movedLimit - movedSpent
	exact := t.keysWith(left)
	d.promise(exact == movedKeys, "keys with exactly %d more admitted: %d of %d", left, exact, movedKeys)
	return nil
}

// replace starts a node for each old one and drains the old one then.
func (d *show) replace(old []*process) (replaced int, err error) {
	for i, p := range old {
		if _, err := d.fleet.start(d.ctx, fmt.Sprint("m", i+1)); err != nil {
			return replaced, err
		}
		if err := p.stop(); err != nil {
			return replaced, err
		}
		replaced++
	}
	return replaced, d.awaitMembers("m1", "m2", "m3")
}
