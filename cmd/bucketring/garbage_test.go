package main

import "testing"

func TestGarbagePercent(t *testing.T) {
	for _, c := range []struct {
		live, roots uint64
		want        int
	}{
		{0, 0, 400}, {1 << 20, 0, 425}, {4 << 20, 0, 400}, {4 << 20, 4 << 20, 200}, {8 << 20, 0, 200}, {16 << 20, 0, 100}, {1 << 40, 1 << 30, 100},
	} {
		if got := garbagePercent(c.live, c.roots); got != c.want {
			t.Errorf("garbagePercent(%d, %d) = %d, want %d", c.live, c.roots, got, c.want)
		}
	}
}
