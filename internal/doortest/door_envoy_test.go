// door_envoy_test.go asks as Envoy does, by its rate limit service, under policies: one for
// each limit of the table.

package doortest_test

import (
	"context"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/internal/envoyrls/rlspb"
)

func envoyDoor() door {
	return door{
		name: "Envoy", apart: true, cannot: map[string]string{anyBytes: noBytesInProto},
		open: func(t *testing.T, n *node) take {
			conn, err := grpc.NewClient(n.doors["grpc"], grpc.WithTransportCredentials(insecure.NewCredentials()))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = conn.Close() })
			client := rlspb.NewRateLimitServiceClient(conn)
			return func(ctx context.Context, key, limit string, cost int64) (bool, int64, error) {
				resp, err := client.ShouldRateLimit(ctx, &rlspb.RateLimitRequest{
					Domain: namespace(limit), HitsAddend: 7, // which the descriptor's own go before
					Descriptors: []*rlspb.RateLimitDescriptor{{
						Entries:    []*rlspb.RateLimitDescriptor_Entry{{Key: "caller", Value: key}},
						HitsAddend: wrapperspb.UInt64(uint64(cost)),
					}},
				})
				if err != nil {
					return false, 0, err
				}
				all, allowed := resp.GetStatuses(), resp.GetOverallCode() == rlspb.RateLimitResponse_OK
				if len(all) != 1 || all[0].GetCode() != resp.GetOverallCode() || all[0].GetCurrentLimit() == nil {
					return false, 0, fmt.Errorf("%v, want the status of one limit, and the overall code in it", resp)
				}
				return allowed, int64(all[0].GetLimitRemaining()), nil
			}
		},
	}
}

var notInNames = regexp.MustCompile(`[^a-z0-9]`)

// namespace is the name of the policy that has a limit: so it is the domain to ask.
func namespace(limit string) string { return notInNames.ReplaceAllString(strings.ToLower(limit), "_") }

// policies writes a folder with a policy for each limit of the table, and returns it.
func policies(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, r := range table {
		write(t, filepath.Join(dir, namespace(r.limit)+".yaml"), policyOf(t, r.limit))
	}
	return dir
}

// policyOf says limits as a policy.
func policyOf(t *testing.T, limit string) string {
	t.Helper()
	limits, err := bucketring.Parse(limit)
	if err != nil {
		t.Fatal(err)
	}
	text, zone := "limits:\n", "UTC"
	for i, l := range limits {
		per := fmt.Sprintf("%ds", l.Per/time.Second)
		if l.Per == bucketring.Month {
			per = "1month"
		}
		text += fmt.Sprintf("  - {name: limit-%d, key: [caller], limit: %d, per: %s, algorithm: %v", i+1, l.Amount, per, l.Algorithm)
		if l.Burst > 0 {
			text += fmt.Sprintf(", burst: %d", l.Burst)
		}
		if l.Align == bucketring.AlignCalendar {
			text, zone = text+", align: calendar", l.Zone
		}
		text += "}\n"
	}
	return fmt.Sprintf("apiVersion: limits/v1\nnamespace: %s\nclock: {zone: %s}\n%s", namespace(limit), zone, text)
}
