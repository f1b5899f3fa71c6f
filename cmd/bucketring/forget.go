// forget.go has all nodes miss a member no longer that vanished and will never return.

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/cluster"
	"github.com/bucketring/bucketring/internal/httpapi"
	"github.com/bucketring/bucketring/transport"
)

// noticeForget tells other nodes whom to forget: it has the name alone.
const noticeForget = "forget"

const (
	// forgetWithin is how long it is tried to tell all others: some learn moments later than
	// others that a member has vanished.
	forgetWithin = 5 * time.Second
	forgetAgain  = 200 * time.Millisecond
)

// A forgetter is the server as what forgets members.
type forgetter server

var _ httpapi.Forgetter = (*forgetter)(nil)

// Forget implements httpapi.Forgetter. Members that are here are refused, and one that
// another node still hears is late there.
func (f *forgetter) Forget(ctx context.Context, name string) (late []string, err error) {
	if err := f.mayForget(name); err != nil {
		return nil, err
	}
	if err := f.member.Forget(ctx, name); err != nil {
		return nil, err
	}
	f.log.Warn("member forgotten: limits that were closed for it are open", "peer", name)
	if f.member.Cluster() == nil {
		return nil, nil
	}
	if err := f.tellAll(ctx, name); err != nil {
		return strings.Split(err.Error(), "\n"), nil
	}
	return nil, nil
}

// mayForget refuses whom this node does not miss.
func (f *forgetter) mayForget(name string) error {
	var names []string
	for _, m := range (*view)(f).known() {
		if m.Name != name {
			names = append(names, m.Name)
			continue
		}
		if m.State == cluster.StateDead || m.State == cluster.StateLeft {
			return nil
		}
		return bucketring.Invalidf("%s is %s: only a member that vanished can be forgotten; one that is to go leaves with: bucketring drain --leave", name, m.State)
	}
	return bucketring.Invalidf("no member %q is known here%s: members of late are %s", name, bucketring.Suggest(name, names), strings.Join(names, ", "))
}

// tellAll tells all other nodes, again and again until they know.
func (f *forgetter) tellAll(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, forgetWithin)
	defer cancel()
	for {
		err := f.member.Pool().Tell(ctx, []transport.Notice{{Kind: noticeForget, Name: name}})
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(forgetAgain):
		}
	}
}

// told takes a notice of another node.
func (s *server) told(n transport.Notice) error {
	if n.Kind != noticeForget {
		return s.keeper.told(n)
	}
	ctx, cancel := context.WithTimeout(context.Background(), forgetWithin)
	defer cancel()
	if err := s.member.Forget(ctx, n.Name); err != nil {
		return err
	}
	s.log.Warn("member forgotten: limits that were closed for it are open", "peer", n.Name)
	return nil
}

func forgetCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "forget NAME", Short: "Have all nodes miss a dead member no longer", Args: cobra.ExactArgs(1),
		Long: `A node that vanished may be alive on the other side of a split and count there, so limits
that say unavailable=deny are refused for five minutes where it may have counted. Forget
says that it is gone for good: they open at once, with the counts of its copies. Never
forget a node that may still run: both sides would let the whole limit pass.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			var done struct {
				Forgotten string `json:"forgotten"`
			}
			if args[0] == "" {
				return usage(errors.New("name a member that bucketring members calls dead"))
			}
			if _, err := adminAsker(cmd).call(cmd.Context(), http.MethodPost, "/v1/admin/members/"+url.PathEscape(args[0])+"/forget", nil, &done); err != nil {
				return err
			}
			return output(cmd, done, func() string { return fmt.Sprintf("%s is forgotten by all nodes\n", done.Forgotten) })
		},
	}
	addAdminAddr(cmd)
	addOutput(cmd)
	return cmd
}
