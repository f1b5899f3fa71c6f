package gubernator_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/gubernator-io/gubernator/v2"
)

const (
	token = gubernator.Algorithm_TOKEN_BUCKET
	leaky = gubernator.Algorithm_LEAKY_BUCKET
	reset = gubernator.Behavior_RESET_REMAINING
	drain = gubernator.Behavior_DRAIN_OVER_LIMIT
)

// rows are questions of one key, 10 an hour, and what Gubernator v2.19.1 answers: U if under
// the limit, O if over it, and what remains.
var rows = []struct {
	name      string
	questions []question
}{
	{"token", []question{
		{token, 0, 1, "U9"}, {token, 0, 0, "U9"}, {token, 0, 20, "O9"}, {token, 0, 9, "U0"}, {token, 0, 0, "U0"}, {token, 0, 1, "O0"},
	}},
	{"token that is reset", []question{{token, reset, 3, "U7"}, {token, reset, 3, "U10"}, {token, 0, 0, "U10"}}},
	{"token that is drained", []question{{token, 0, 1, "U9"}, {token, drain, 20, "O0"}, {token, 0, 0, "U0"}, {token, 0, 1, "O0"}}},
	{"token that is given back", []question{{token, 0, 4, "U6"}, {token, 0, -3, "U9"}}},
	{"leaky", []question{{leaky, 0, 1, "U9"}, {leaky, 0, 20, "O9"}, {leaky, 0, 9, "U0"}, {leaky, 0, 1, "O0"}, {leaky, 0, 0, "U0"}}},
	{"leaky, then token", []question{{leaky, 0, 4, "U6"}, {token, reset, 1, "U10"}}},
}

// A question has hits, which may be below 0, and the answer to them.
type question struct {
	algorithm gubernator.Algorithm
	behavior  gubernator.Behavior
	hits      int64
	want      string
}

func (q question) of(key string) *gubernator.RateLimitReq {
	return &gubernator.RateLimitReq{
		Name: "clients", UniqueKey: key, Algorithm: q.algorithm, Behavior: q.behavior, Hits: q.hits, Limit: 10, Duration: 60 * gubernator.Minute,
	}
}

// Gubernator's client finds a node of bucketring to be one of Gubernator.
func TestClient(t *testing.T) {
	client, err := gubernator.DialV1Server(startNode(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	health, err := client.HealthCheck(t.Context(), &gubernator.HealthCheckReq{})
	if err != nil || health.GetStatus() != "healthy" || health.GetPeerCount() != 1 {
		t.Errorf("HealthCheck = %v, %v, want one healthy peer", health, err)
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			for i, q := range r.questions {
				item := q.of(r.name)
				resp, err := client.GetRateLimits(t.Context(), &gubernator.GetRateLimitsReq{Requests: []*gubernator.RateLimitReq{item}})
				if err != nil || len(resp.GetResponses()) != 1 {
					t.Fatalf("question %d: %v, %v, want one answer", i+1, resp, err)
				}
				if got := short(resp.GetResponses()[0]); got != q.want {
					t.Errorf("question %d: %v = %s, want %s", i+1, item, got, q.want)
				}
			}
		})
	}
	t.Run("many items", func(t *testing.T) { manyItems(t, client) })
}

// manyItems has as many items in a call as there may be: each has its own answer, in order,
// and the error of one is its own.
func manyItems(t *testing.T, client gubernator.V1Client) {
	var all gubernator.GetRateLimitsReq
	for i := range 1000 {
		all.Requests = append(all.Requests, question{token, 0, int64(i % 11), ""}.of(fmt.Sprint("many", i)))
	}
	all.Requests[500].UniqueKey = ""
	before := time.Now()
	resp, err := client.GetRateLimits(t.Context(), &all)
	if err != nil || len(resp.GetResponses()) != len(all.GetRequests()) {
		t.Fatalf("%d answers, %v, want one for each item", len(resp.GetResponses()), err)
	}
	for i, one := range resp.GetResponses() {
		if i == 500 {
			if one.GetError() != "field 'unique_key' cannot be empty" {
				t.Errorf("an item without a key = %v, want an error about it", one)
			}
			continue
		}
		if got, want := short(one), fmt.Sprint("U", 10-i%11); got != want {
			t.Errorf("item %d = %s, want %s", i, got, want)
		}
		// Both clocks are this machine's; a day is enough to tell seconds and ns from ms.
		if left := gubernator.FromUnixMilliseconds(one.GetResetTime()).Sub(before); left <= 0 || left > 24*time.Hour {
			t.Fatalf("item %d is reset after %v, want an hour", i, left)
		}
	}
}

// short writes an answer in short.
func short(r *gubernator.RateLimitResp) string {
	if r.GetError() != "" {
		return r.GetError()
	}
	text := map[gubernator.Status]string{gubernator.Status_UNDER_LIMIT: "U", gubernator.Status_OVER_LIMIT: "O"}[r.GetStatus()]
	return fmt.Sprint(text, r.GetRemaining())
}
