//go:build !race

package main

// simRace is whether the race detector watches, which makes all several times slower.
const simRace = false
