//go:build !unix

package bench_test

import "time"

// cpuTime is unknown here, and the figure is left out.
func cpuTime() time.Duration { return 0 }
