package main

import "testing"

func TestGarbagePercent(t *testing.T) {
	for live, want := range map[uint64]int{
		0: 1600, 1 << 20: 1600, 4 << 20: 400, 8 << 20: 200, 16 << 20: 100, 1 << 40: 100,
	} {
		if got := garbagePercent(live); got != want {
			t.Errorf("garbagePercent(%d) = %d, want %d", live, got, want)
		}
	}
}
