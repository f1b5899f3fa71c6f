package bucket_test

import (
	"encoding/binary"
	"math"
	"testing"
)

// FuzzDecide lets the fuzzer write schedules of all verbs, with costs, limits
// and clocks up to the ends of int64. Each answer has to equal the exact one,
// and stay within what callers rely on.
func FuzzDecide(f *testing.F) {
	for shape := range len(shapes()) {
		f.Add(seedSchedule(byte(shape), 10))
		f.Add(seedSchedule(byte(shape), math.MaxInt64))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, fault := run(data, 200); fault != "" {
			t.Fatal(fault)
		}
	})
}

// seedSchedule is a schedule with something of everything, for a start.
func seedSchedule(shape byte, amount uint64) []byte {
	data := []byte{shape, 2, 12, 7} // a minute, then an amount of 8 bytes
	data = binary.LittleEndian.AppendUint64(data, amount)
	for i := range byte(200) {
		data = append(data, i*37, i*11, i)
	}
	return data
}
