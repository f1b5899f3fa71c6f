// keeper.go keeps a node's policies: loads them, watches them, and takes what
// operators put at run time.

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/internal/httpapi"
	"github.com/bucketring/bucketring/node"
	"github.com/bucketring/bucketring/policy"
	"github.com/bucketring/bucketring/transport"
)

// A keeper is the only one who changes the policies of a node.
type keeper struct {
	path     string // file or folder; empty for none
	merge    bool   // domains of several files
	node     *node.Node
	log      *slog.Logger
	tell     func()            // the cluster, if there is one
	also     func() error      // loads what else a reload is for; nil for nothing
	kick     chan chan<- error // forces a load
	spreader *spreader
	first    *policy.Set // what start loaded
	dir      string      // where to keep what was put; empty for nowhere
	keeping  sync.Mutex  // held to write it

	mu       sync.Mutex
	problems policy.Errors // of the last load; guarded by mu
	loaded   time.Time     // of the last change; guarded by mu
	good     uint64        // loads without a problem; guarded by mu
	bad      uint64        // and with; guarded by mu
}

var _ httpapi.Admin = (*keeper)(nil)

// policyOptions let policies read the environment. With merge, several files in Envoy's
// dialect may be of one domain.
func policyOptions(merge bool) policy.Options {
	return policy.Options{Env: os.LookupEnv, MergeDomains: merge}
}

// servedOptions are those of a node: it refuses files that others could change.
func servedOptions(merge bool) policy.Options {
	opt := policyOptions(merge)
	opt.Closed = true
	return opt
}

// start loads the policies for the first time, when any problem is fatal.
func (k *keeper) start() error {
	k.kick = make(chan chan<- error)
	if k.path == "" {
		return nil
	}
	set, err := policy.Load(k.path, servedOptions(k.merge))
	if err != nil {
		return usage(fmt.Errorf("policies: %w", err))
	}
	if len(set.Policies()) == 0 {
		k.log.Warn("no policy found", "path", k.path)
	}
	k.first = set
	k.take(set, nil)
	return nil
}

// run watches the policies until ctx is done.
func (k *keeper) run(ctx context.Context) error {
	if k.path == "" {
		return k.refuseLoads(ctx)
	}
	opt := servedOptions(k.merge)
	opt.Known = k.first
	return policy.Watch(ctx, k.path, opt, k.kick, k.take)
}

// refuseLoads answers those who want a load although there is nothing to load.
func (k *keeper) refuseLoads(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case done := <-k.kick:
			done <- errors.New("this node has no policies: start it with --policies")
		}
	}
}

// take makes what was loaded the policies in force. What did not load keeps its
// old policy.
func (k *keeper) take(set *policy.Set, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.problems = nil
	if err != nil && !errors.As(err, &k.problems) {
		k.problems = policy.Errors{{File: k.path, Text: err.Error()}}
	}
	for _, p := range k.problems {
		k.log.Error("policy not loaded", "err", p.Error())
	}
	if len(k.problems) == 0 {
		k.good++
	} else {
		k.bad++
	}
	k.useLocked(k.node.Policies().Reload(set))
}

// loads returns how many loads had no problem, and how many had.
func (k *keeper) loads() (good, bad uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.good, k.bad
}

// useLocked makes a set the node's, if it differs.
func (k *keeper) useLocked(set *policy.Set) {
	before := k.node.Policies()
	k.node.SetPolicies(set)
	if set.Hash() == before.Hash() && !k.loaded.IsZero() {
		return
	}
	k.loaded = time.Now()
	for _, p := range before.Policies() {
		if _, err := set.Policy(p.Namespace()); err != nil {
			what := "policy gone: its callers are refused"
			if p.Domain() != nil {
				what = "domain gone: its callers pass"
			}
			k.log.Warn(what, "policy", p.Namespace())
		}
	}
	for _, p := range set.Policies() {
		if was, err := before.Policy(p.Namespace()); err == nil && was.Hash() == p.Hash() {
			continue
		}
		k.log.Info("policy active", "policy", p.Namespace(), "hash", fmt.Sprintf("%016x", p.Hash()))
		for _, note := range p.Notes() {
			what := "policy asks for more than there is"
			if p.Domain() != nil {
				what = "a part of a domain is ignored"
			}
			k.log.Warn(what, "policy", p.Namespace(), "err", note.Error())
		}
	}
	if k.tell != nil {
		k.tell()
	}
}

// Reload implements httpapi.Admin.
func (k *keeper) Reload(ctx context.Context) error {
	if k.also == nil {
		return k.load(ctx)
	}
	err := k.also()
	if k.path == "" {
		return err
	}
	return errors.Join(err, k.load(ctx))
}

// load has run read the policies.
func (k *keeper) load(ctx context.Context) error {
	done := make(chan error, 1)
	select {
	case k.kick <- done:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Policies implements httpapi.Admin.
func (k *keeper) Policies() []httpapi.PolicyStatus {
	k.mu.Lock()
	defer k.mu.Unlock()
	var all []httpapi.PolicyStatus
	files := map[string]int{}
	for _, p := range k.node.Policies().Policies() {
		files[p.File()] = len(all)
		all = append(all, httpapi.PolicyStatus{
			Namespace: p.Namespace(), File: p.File(), Hash: p.Hash(), LoadedAt: k.loaded,
		})
	}
	for _, problem := range k.problems {
		at, ok := files[problem.File]
		if !ok { // a file whose namespace never loaded
			at = len(all)
			files[problem.File] = at
			all = append(all, httpapi.PolicyStatus{File: problem.File})
		}
		all[at].Errors = append(all[at].Errors, problem.Error())
	}
	return all
}

// PutPolicy implements httpapi.Admin.
func (k *keeper) PutPolicy(ctx context.Context, namespace string, text []byte) error {
	return k.put(ctx, subject{noticePolicy, namespace, ""}, word{Version: k.spreader.version(), Text: text})
}

// PutTable implements httpapi.Admin.
func (k *keeper) PutTable(ctx context.Context, namespace, table string, rows map[string]map[string]string, replace bool) error {
	if err := k.checkTable(namespace, table); err != nil {
		return err
	}
	now := k.spreader.version()
	w := word{Rows: make(map[string]row, len(rows))}
	if replace {
		w.Since = now
	}
	for key, fields := range rows {
		w.Rows[key] = row{now, fields}
	}
	return k.put(ctx, subject{noticeTable, namespace, table}, w)
}

// checkTable refuses rows that nothing would look up.
func (k *keeper) checkTable(namespace, table string) error {
	p, err := k.node.Policies().Policy(namespace)
	if err != nil {
		return err
	}
	tables := p.Tables()
	if slices.Contains(tables, table) {
		return nil
	}
	near := bucketring.Suggest(table, tables)
	if near == "" && len(tables) > 0 {
		near = ": its lookups name " + strings.Join(tables, ", ")
	}
	return bucketring.Invalidf("no lookup of namespace %q names a table %q%s", namespace, table, near)
}

// PutOverrides implements httpapi.Admin.
func (k *keeper) PutOverrides(ctx context.Context, namespace string, text []byte) error {
	return k.put(ctx, subject{noticeOverrides, namespace, ""}, word{Version: k.spreader.version(), Text: text})
}

// put makes a word the newest here and brings it to the other nodes.
func (k *keeper) put(ctx context.Context, about subject, w word) error {
	if err := k.believe(about, w); err != nil {
		return err
	}
	k.keep()
	if err := k.spreader.spread(ctx, about); err != nil {
		k.log.Warn("not all nodes know yet what was put", "err", err)
	}
	return nil
}

// told takes a notice of another node.
func (k *keeper) told(n transport.Notice) error {
	var w word
	if err := json.Unmarshal(n.Text, &w); err != nil {
		return fmt.Errorf("notice of %s: %w", n.Kind, err)
	}
	if !w.believable(time.Now()) {
		return fmt.Errorf("notice of %s is from the future: check the clocks", n.Kind)
	}
	about := subject{n.Kind, n.Namespace, n.Name}
	was := k.spreader.would(about, word{})
	if err := k.believe(about, w); err != nil {
		return err
	}
	if !reflect.DeepEqual(was, k.spreader.would(about, word{})) { // nodes tell again and again
		k.keep()
	}
	return nil
}

// believe puts a word in force if it is good, and remembers it then.
func (k *keeper) believe(about subject, w word) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	before := k.node.Policies()
	set, err := applied(before, about, k.spreader.would(about, w))
	if err != nil {
		return err
	}
	k.spreader.hear(about, w)
	k.useLocked(set)
	return nil
}

// applied returns a set in which a word is in force.
func applied(set *policy.Set, about subject, w word) (*policy.Set, error) {
	switch about.kind {
	case noticePolicy:
		// Without the environment: it differs between nodes, and is none of the
		// business of who puts a policy.
		p, err := policy.Parse("", w.Text, policy.Options{})
		if err != nil {
			return nil, err
		}
		if p.Namespace() != about.namespace {
			return nil, bucketring.Invalidf("the policy is for namespace %q, not %q", p.Namespace(), about.namespace)
		}
		return set.WithPolicy(p), nil
	case noticeOverrides:
		return set.WithOverrides(about.namespace, w.Text)
	case noticeTable:
		return set.WithRows(about.namespace, about.name, w.fields(), w.Since > 0), nil
	}
	return nil, bucketring.Invalidf("unknown notice %q: nodes of one cluster should run one version", about.kind)
}

// ok reports whether the last load had no problem, and when the policies changed.
func (k *keeper) ok() (ok bool, changed time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.problems == nil, k.loaded
}
