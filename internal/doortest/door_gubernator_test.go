// door_gubernator_test.go asks as Gubernator's clients do, by its JSON.

package doortest_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/bucketring/bucketring"
)

func gubernatorDoor() door {
	const noWindow = "its windows begin with the first hit, and it has one limit a request"
	return door{
		name: "Gubernator JSON", apart: true,
		cannot: map[string]string{
			"a fixed window": noWindow, "a large window": noWindow, "a sliding window": noWindow,
			"a month of a zone": noWindow, "two limits": noWindow, anyBytes: noBytes,
			"a cost above the limit": "as in Gubernator, a new bucket that is asked for more than it holds is empty",
		},
		open: func(t *testing.T, n *node) take {
			web := newWeb(t)
			return func(ctx context.Context, key, limit string, cost int64) (bool, int64, error) {
				item, err := leaky(key, limit, cost)
				if err != nil {
					return false, 0, err
				}
				var r struct {
					Responses []struct {
						Status, Error string
						Remaining     int64 `json:",string"`
					}
				}
				status, err := web.post(ctx, "http://"+n.doors["http"]+"/v1/GetRateLimits", map[string]any{"requests": []any{item}}, &r)
				switch {
				case err != nil:
					return false, 0, err
				case len(r.Responses) != 1:
					return false, 0, fmt.Errorf("status %d with %d answers, want 1", status, len(r.Responses))
				case r.Responses[0].Error != "":
					return false, 0, errors.New(r.Responses[0].Error)
				}
				return r.Responses[0].Status == "UNDER_LIMIT", r.Responses[0].Remaining, nil
			}
		},
	}
}

// leaky says a limit as a leaky bucket.
func leaky(key, limit string, cost int64) (map[string]any, error) {
	limits, err := bucketring.Parse(limit)
	if err != nil {
		return nil, err
	}
	l := limits[0]
	if len(limits) > 1 || l.Algorithm != bucketring.TokenBucket {
		return nil, fmt.Errorf("%s is no bucket", limit)
	}
	return map[string]any{
		"name": "table", "unique_key": key, "algorithm": "LEAKY_BUCKET", "hits": cost,
		"limit": l.Amount, "burst": l.Capacity(), "duration": l.Per / time.Millisecond,
	}, nil
}
