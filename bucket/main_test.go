// main_test.go holds what several tests use.

package bucket_test

import (
	"runtime/debug"
	"time"
	"unsafe"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/bucket"
)

// counterOf names a counter of a shape with 10 a minute.
func counterOf(shape bucketring.Limit, key string) bucket.Counter {
	return bucket.Counter{Key: key, Limit: &shape}
}

// noon is a reading in the middle of a window.
var noon = bucket.Now{Mono: int64(time.Hour), Wall: int64(1640995230 * time.Second)}

// after is noon and d more.
func after(d time.Duration) bucket.Now {
	return bucket.Now{Mono: noon.Mono + int64(d), Wall: noon.Wall + int64(d)}
}

// raceEnabled reports whether the race detector is built in.
func raceEnabled() bool {
	info, _ := debug.ReadBuildInfo()
	if info == nil {
		return false
	}
	for _, s := range info.Settings {
		if s.Key == "-race" {
			return s.Value == "true"
		}
	}
	return false
}

// unsafeString shares the bytes, as a caller's string can share a large message.
func unsafeString(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
