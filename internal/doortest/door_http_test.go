// door_http_test.go asks over HTTP: by JSON, by query, and in batches.

package doortest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
)

// A spoken is a decision as JSON has it.
type spoken struct {
	Allowed   bool
	Remaining int64
}

const noBytes = "JSON is UTF-8"

func jsonDoor() door {
	return door{
		name: "HTTP JSON", cannot: map[string]string{anyBytes: noBytes},
		open: func(t *testing.T, n *node) take {
			web := newWeb(t)
			return func(ctx context.Context, key, limit string, cost int64) (bool, int64, error) {
				var d spoken
				status, err := web.post(ctx, "http://"+n.doors["http"]+"/v1/take", requestJSON(key, limit, cost), &d)
				return d.Allowed, d.Remaining, agree(status, d.Allowed, err)
			}
		},
	}
}

func jsonBatchDoor() door {
	return door{
		name: "HTTP batch", cannot: map[string]string{anyBytes: noBytes},
		open: func(t *testing.T, n *node) take {
			web := newWeb(t)
			return func(ctx context.Context, key, limit string, cost int64) (bool, int64, error) {
				var b struct{ Decisions []spoken }
				body := map[string]any{"requests": []any{requestJSON(key, limit, cost), requestJSON(key, limit, 0)}}
				status, err := web.post(ctx, "http://"+n.doors["http"]+"/v1/take/batch", body, &b)
				if err == nil && (status != http.StatusOK || len(b.Decisions) != 2 || b.Decisions[1].Remaining != b.Decisions[0].Remaining) {
					err = fmt.Errorf("status %d and %+v, want 200 and two decisions that agree", status, b.Decisions)
				}
				if err != nil {
					return false, 0, err
				}
				return b.Decisions[0].Allowed, b.Decisions[0].Remaining, nil
			}
		},
	}
}

func queryDoor() door {
	return door{
		name: "HTTP GET",
		open: func(t *testing.T, n *node) take {
			web := newWeb(t)
			return func(ctx context.Context, key, limit string, cost int64) (bool, int64, error) {
				query := url.Values{"key": {key}, "limit": {limit}, "cost": {strconv.FormatInt(cost, 10)}}
				req, err := http.NewRequestWithContext(ctx, "GET", "http://"+n.doors["http"]+"/v1/take?"+query.Encode(), nil)
				if err != nil {
					return false, 0, err
				}
				var d spoken
				status, err := web.do(req, &d)
				return d.Allowed, d.Remaining, agree(status, d.Allowed, err)
			}
		},
	}
}

func requestJSON(key, limit string, cost int64) map[string]any {
	return map[string]any{"key": key, "limit": limit, "cost": cost}
}

// agree wants status and decision to say the same.
func agree(status int, allowed bool, err error) error {
	if want := map[bool]int{true: http.StatusOK, false: http.StatusTooManyRequests}[allowed]; err == nil && status != want {
		return fmt.Errorf("status %d, want %d with allowed %v", status, want, allowed)
	}
	return err
}

// A web is a client of the JSON API.
type web struct{ *http.Client }

func newWeb(t *testing.T) web {
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return web{&http.Client{Transport: transport}}
}

func (w web) post(ctx context.Context, target string, body, to any) (status int, err error) {
	text, err := json.Marshal(body)
	if err != nil {
		return 0, err
	}
	req, err := http.NewRequestWithContext(ctx, "POST", target, strings.NewReader(string(text)))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	return w.do(req, to)
}

// do reads an answer that must be JSON and no problem.
func (w web) do(req *http.Request, to any) (status int, err error) {
	resp, err := w.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	var raw json.RawMessage
	if err := json.NewDecoder(resp.Body).Decode(&raw); err != nil {
		return resp.StatusCode, fmt.Errorf("%s: %w", resp.Status, err)
	}
	if kind := resp.Header.Get("Content-Type"); kind != "application/json" {
		return resp.StatusCode, fmt.Errorf("%s: %s: %s", resp.Status, kind, raw)
	}
	return resp.StatusCode, json.Unmarshal(raw, to)
}
