package store

import "encoding/binary"

// What tests need to know of the format.
const (
	HeaderSize = headerSize
	BatchHead  = batchHead
	BatchSize  = batchSize
	MaxRecord  = maxRecord
	MinLog     = minLog
)

// Header is the header of a file with a salt of zero.
func Header(number, label uint64) []byte { return header{number: number, label: label}.append(nil) }

// Batch is a batch of a file with a salt of zero, at off.
func Batch(off int64, records ...Record) []byte {
	b := make([]byte, batchHead)
	for _, r := range records {
		b = appendRecord(b, r)
	}
	sealBatch(b, 0, off, 1, uint32(len(records)))
	return b
}

// ShortBatch is a head that claims to be shorter than it is, with a checksum that is
// right for that.
func ShortBatch(off int64, n int) []byte {
	b := make([]byte, batchHead)
	b[0], b[8] = byte(n-8), 1
	binary.LittleEndian.PutUint32(b[4:], batchCRC(0, off, b[:n]))
	return b
}

// RawBatch is a batch with a right checksum around any bytes.
func RawBatch(off int64, count uint32, body []byte) []byte {
	b := append(make([]byte, batchHead), body...)
	sealBatch(b, 0, off, 1, count)
	return b
}
