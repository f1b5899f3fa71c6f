// door_member_test.go asks a node that is part of the program which asks: this one.

package doortest_test

import (
	"context"
	"testing"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/node/member"
)

func memberDoor() door {
	return door{
		name: "embedded node", apart: true,
		open: func(t *testing.T, _ *node) take {
			m, err := member.Start(t.Context(), member.Config{Name: "embedded"})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := m.Close(context.Background()); err != nil {
					t.Errorf("Close = %v", err)
				}
			})
			return func(ctx context.Context, key, limit string, cost int64) (bool, int64, error) {
				limits, err := bucketring.Parse(limit)
				if err != nil {
					return false, 0, err
				}
				d, err := m.Take(ctx, bucketring.Request{Key: key, Limits: limits, Cost: cost})
				return d.Allowed, d.Remaining, err
			}
		},
	}
}
