// door_resp_test.go asks as a Redis client does, by CL.THROTTLE.

package doortest_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/bucketring/bucketring"
)

func respDoor() door {
	const aBucket = "CL.THROTTLE is one bucket"
	return door{
		name: "RESP CL.THROTTLE", apart: true,
		cannot: map[string]string{
			"a fixed window": aBucket, "a large window": aBucket, "a sliding window": aBucket, "a month of a zone": aBucket, "two limits": aBucket,
		},
		open: func(t *testing.T, n *node) take {
			conn, err := net.Dial("tcp", n.doors["resp"])
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = conn.Close() })
			answers := bufio.NewReader(conn)
			return func(ctx context.Context, key, limit string, cost int64) (bool, int64, error) {
				burst, count, period, err := cell(limit)
				if err != nil {
					return false, 0, err
				}
				deadline, _ := ctx.Deadline()
				_ = conn.SetDeadline(deadline)
				words := []string{"CL.THROTTLE", key, fmt.Sprint(burst), fmt.Sprint(count), fmt.Sprint(period), fmt.Sprint(cost)}
				if _, err := io.WriteString(conn, command(words)); err != nil {
					return false, 0, err
				}
				five, err := numbers(answers)
				if err != nil {
					return false, 0, err
				}
				if len(five) != 5 || five[1] != burst+1 {
					return false, 0, fmt.Errorf("%v, want five numbers with %d in the second place", five, burst+1)
				}
				return five[0] == 0, five[2], nil
			}
		},
	}
}

// cell says a limit in the words of redis-cell.
func cell(limit string) (burst, count, period int64, err error) {
	limits, err := bucketring.Parse(limit)
	if err != nil {
		return 0, 0, 0, err
	}
	l := limits[0]
	if len(limits) > 1 || l.Algorithm != bucketring.TokenBucket {
		return 0, 0, 0, fmt.Errorf("%s is no bucket", limit)
	}
	return l.Capacity() - 1, l.Amount, int64(l.Per / time.Second), nil
}

// command writes words as RESP2 does.
func command(words []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(words))
	for _, w := range words {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(w), w)
	}
	return b.String()
}

// numbers reads an array of numbers.
func numbers(r *bufio.Reader) (all []int64, err error) {
	left := int64(1)
	for left > 0 {
		line, err := r.ReadString('\n')
		if err != nil {
			return all, err
		}
		line = strings.TrimSuffix(line, "\r\n")
		n, err := strconv.ParseInt(line[1:], 10, 64)
		switch {
		case err != nil || line[0] != '*' && line[0] != ':':
			return all, fmt.Errorf("the answer is %q", line)
		case line[0] == '*':
			left = n
		default:
			all = append(all, n)
			left--
		}
	}
	return all, nil
}
