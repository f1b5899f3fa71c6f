// door_command_test.go asks as people do, by the command of the binary.

package doortest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"testing"
)

func commandDoor() door {
	const exitDenied = 3
	return door{
		name: "bucketring take", cannot: map[string]string{anyBytes: "the command sends JSON"},
		open: func(t *testing.T, n *node) take {
			path := binary(t)
			return func(ctx context.Context, key, limit string, cost int64) (bool, int64, error) {
				cmd := exec.CommandContext(ctx, path, "take", "--addr", n.doors["http"], "-o", "json", "--cost", strconv.FormatInt(cost, 10), "--", key, limit)
				cmd.Env = cleanEnv()
				out, err := cmd.Output()
				code := 0
				if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
					code = exit.ExitCode()
					err = fmt.Errorf("exit code %d: %s", code, exit.Stderr)
				}
				if err != nil && code != exitDenied {
					return false, 0, err
				}
				var d spoken
				if err := json.Unmarshal(out, &d); err != nil {
					return false, 0, fmt.Errorf("%w in %q", err, out)
				}
				if d.Allowed != (code == 0) {
					return false, 0, fmt.Errorf("exit code %d with allowed %v", code, d.Allowed)
				}
				return d.Allowed, d.Remaining, nil
			}
		},
	}
}
