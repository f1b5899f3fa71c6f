// ask.go asks a node over HTTP, as any client would.

package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/bucketring/bucketring"
)

// A decision is the answer of take and its kin.
type decision struct {
	Allowed    bool         `json:"allowed"`
	Limit      int64        `json:"limit"`
	Remaining  int64        `json:"remaining"`
	ResetAt    *int64       `json:"reset_at"`
	ResetAfter *float64     `json:"reset_after"`
	RetryAfter *int64       `json:"retry_after"`
	Policy     string       `json:"policy"`
	Limits     []limitState `json:"limits"`
	Leases     []string     `json:"leases"`
	// Reservation is the id to settle; empty for none.
	Reservation string `json:"reservation"`

	Source   string `json:"source"`
	Degraded bool   `json:"degraded"`
	Node     string `json:"node"`
	Owner    string `json:"owner"`
}

type limitState struct {
	Name       string `json:"name"`
	Allowed    bool   `json:"allowed"`
	Limit      int64  `json:"limit"`
	Remaining  int64  `json:"remaining"`
	ResetAt    *int64 `json:"reset_at"`
	RetryAfter *int64 `json:"retry_after"`
}

// An asker sends requests to one node.
type asker struct {
	base   string
	client *http.Client
	token  string // to show; empty for none
	err    error  // why nothing can be asked
}

func newAsker(addr string) *asker {
	if !strings.Contains(addr, "://") {
		addr = "http://" + addr
	}
	return &asker{base: strings.TrimSuffix(addr, "/"), client: &http.Client{Timeout: 5 * time.Second}}
}

// addAddr gives a command the flag --addr, and those that say who asks.
func addAddr(cmd *cobra.Command) {
	cmd.Flags().String("addr", "", "HTTP address of a node [BUCKETRING_ADDR] (default 127.0.0.1:7750)")
	addCredentials(cmd.Flags())
}

func askerOf(cmd *cobra.Command) *asker {
	return askerAt(cmd, "addr", "BUCKETRING_ADDR", "127.0.0.1:7750")
}

// askerAt asks the node that a flag names, or the environment, or else the usual one.
func askerAt(cmd *cobra.Command, flag, env, usual string) *asker {
	addr, _ := cmd.Flags().GetString(flag)
	addr = cmp.Or(addr, os.Getenv(env), usual)
	c, err := credentialsOf(cmd.Flags())
	if err != nil {
		return &asker{err: err}
	}
	return c.asker(addr)
}

// call sends one request. body may be nil; answer is filled from a status below
// 400 and from those in also.
func (a *asker) call(ctx context.Context, method, path string, body, answer any, also ...int) (status int, err error) {
	if a.err != nil {
		return 0, a.err
	}
	var payload io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return 0, asExit(err)
		}
		payload = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, a.base+path, payload)
	if err != nil {
		return 0, usage(err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if a.token != "" {
		req.Header.Set("Authorization", "Bearer "+a.token)
	}
	resp, err := a.client.Do(req)
	if err != nil {
		return 0, asExit(fmt.Errorf("no answer from %s: %w: is a node running there? start one with: bucketring dev", a.base, unwrapURL(err)))
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, 16<<20))
	if err != nil {
		return resp.StatusCode, asExit(err)
	}
	for _, ok := range append(also, http.StatusOK) {
		if resp.StatusCode == ok && strings.HasPrefix(resp.Header.Get("Content-Type"), "application/json") {
			return ok, asExit(json.Unmarshal(data, answer))
		}
	}
	return resp.StatusCode, problemOf(resp, data)
}

// unwrapURL drops the address from an error text that has it already.
func unwrapURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// problemOf makes an error of a problem document.
func problemOf(resp *http.Response, data []byte) error {
	var p struct {
		Title, Detail string
		Errors        []string
	}
	if json.Unmarshal(data, &p) != nil || p.Title+p.Detail == "" {
		return asExit(fmt.Errorf("the node answers %s", resp.Status))
	}
	if p.Detail == "" {
		p.Detail = p.Title
	}
	p.Detail = strings.Join(append([]string{p.Detail}, p.Errors...), "\n")
	if resp.StatusCode == http.StatusBadRequest {
		return usage(errors.New(p.Detail))
	}
	return asExit(errors.New(p.Detail))
}

// verbCommand makes take, peek, refund and reset, which differ in their path.
func verbCommand(verb, short string) *cobra.Command {
	cmd := &cobra.Command{
		Use: verb + " KEY LIMIT", Short: short, Args: cobra.ExactArgs(2),
		Example: "  bucketring " + verb + " alice 3/m\n  bucketring " + verb + " alice \"10/s burst=50, 1000/h\"",
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, err := bucketring.Parse(args[1]); err != nil {
				return usage(err)
			}
			body := map[string]any{"key": args[0], "limit": args[1]}
			if cmd.Flags().Changed("cost") {
				body["cost"], _ = cmd.Flags().GetInt64("cost")
			}
			var d decision
			_, err := askerOf(cmd).call(cmd.Context(), http.MethodPost, "/v1/"+verb, body, &d, http.StatusTooManyRequests)
			if err != nil {
				return err
			}
			if err := output(cmd, d, func() string { return d.text(verb) }); err != nil {
				return err
			}
			if !d.Allowed {
				return &exit{code: exitDenied}
			}
			return nil
		},
	}
	addAddr(cmd)
	addOutput(cmd)
	if verb != "reset" {
		cmd.Flags().Int64("cost", 1, "number of tokens; 0 only looks")
	}
	return cmd
}

// text is the decision as one line for people.
func (d *decision) text(verb string) string {
	var b strings.Builder
	switch {
	case d.Allowed && (verb == "refund" || verb == "reset"):
		fmt.Fprintf(&b, "done: %d of %d remaining", d.Remaining, d.Limit)
	case d.Allowed:
		fmt.Fprintf(&b, "allowed: %d of %d remaining", d.Remaining, d.Limit)
	case d.RetryAfter == nil:
		fmt.Fprintf(&b, "denied for ever: the limit holds %d at most, %d remaining", d.Limit, d.Remaining)
	default:
		fmt.Fprintf(&b, "denied: try again in %d s, %d of %d remaining", *d.RetryAfter, d.Remaining, d.Limit)
	}
	for _, lease := range d.Leases {
		fmt.Fprintf(&b, "\nlease %s", lease)
	}
	if d.Degraded {
		fmt.Fprintf(&b, " (degraded: %s, the owner is away)", d.Source)
	}
	return b.String() + "\n"
}
