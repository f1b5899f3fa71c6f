// format.go is how headers, batches and records are laid out in bytes.

package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"strconv"
	"strings"
)

// All numbers are little-endian.
//
//	header  magic [4] version [4] number [8] label [8] salt [8] crc [4]
//	batch   length [4] crc [4] unix ms [8] count [4] records
//	record  uvarint length of the key, uvarint length of the value, key, value
//	end     a batch with count endCount and the number of records [8]
//
// length counts what follows the crc. The crc of a batch also covers the salt of
// its file and its place in it, so bytes of another file or place are no batch
// here: neither a block that the file system mixed up, nor a key that a caller
// made to look like one.
const (
	magic      = "BRQ1"
	version    = 1
	headerSize = 4 + 4 + 8 + 8 + 8 + 4
	batchHead  = 4 + 4 + 8 + 4
	endCount   = math.MaxUint32

	batchSize = 1 << 20  // a batch with more than one record is no longer than this
	maxBatch  = 16 << 20 // no batch is longer than this

	// maxRecord leaves room for the head of the batch and the two lengths.
	maxRecord = maxBatch - batchHead - 2*binary.MaxVarintLen64
)

var (
	errHeader  = errors.New("bad header")
	errVersion = errors.New("newer format version")
	errLabel   = errors.New("belongs to another cluster")
)

// A header begins each file. The salt is random.
type header struct{ number, label, salt uint64 }

func (h header) append(buf []byte) []byte {
	start := len(buf)
	buf = append(buf, magic...)
	buf = binary.LittleEndian.AppendUint32(buf, version)
	buf = binary.LittleEndian.AppendUint64(buf, h.number)
	buf = binary.LittleEndian.AppendUint64(buf, h.label)
	buf = binary.LittleEndian.AppendUint64(buf, h.salt)
	return binary.LittleEndian.AppendUint32(buf, castagnoli(0, buf[start:]))
}

// parseHeader reads the header of the file of that number in the cluster with
// that label. The version comes before the crc: a newer one may lay out the rest
// differently.
func parseHeader(b []byte, number, label uint64) (h header, err error) {
	if len(b) < headerSize || string(b[:4]) != magic {
		return h, errHeader
	}
	if v := binary.LittleEndian.Uint32(b[4:]); v > version {
		return h, fmt.Errorf("%w %d, this program knows %d", errVersion, v, version)
	}
	h.number = binary.LittleEndian.Uint64(b[8:])
	h.label = binary.LittleEndian.Uint64(b[16:])
	h.salt = binary.LittleEndian.Uint64(b[24:])
	body, crc := b[:headerSize-4], binary.LittleEndian.Uint32(b[headerSize-4:])
	switch {
	case castagnoli(0, body) != crc || h.number != number || binary.LittleEndian.Uint32(b[4:]) != version:
		return h, errHeader
	case h.label != label:
		return h, errLabel
	}
	return h, nil
}

func castagnoli(crc uint32, b []byte) uint32 {
	return crc32.Update(crc, crc32.MakeTable(crc32.Castagnoli), b)
}

// batchCRC is the checksum of the batch b that begins at off.
func batchCRC(salt uint64, off int64, b []byte) uint32 {
	var place [16]byte
	binary.LittleEndian.PutUint64(place[:], salt)
	binary.LittleEndian.PutUint64(place[8:], uint64(off))
	crc := castagnoli(0, place[:])
	crc = castagnoli(crc, b[:4])
	return castagnoli(crc, b[8:])
}

// sealBatch fills in the head of a batch whose records are in place.
func sealBatch(b []byte, salt uint64, off, ms int64, count uint32) {
	binary.LittleEndian.PutUint32(b, uint32(len(b)-8))
	binary.LittleEndian.PutUint64(b[8:], uint64(ms))
	binary.LittleEndian.PutUint32(b[16:], count)
	binary.LittleEndian.PutUint32(b[4:], batchCRC(salt, off, b))
}

// batchLength returns the length of the batch that may begin with head, of which
// rest bytes are there. It reports false if no batch begins so.
func batchLength(head []byte, rest int64) (int, bool) {
	n := int64(binary.LittleEndian.Uint32(head)) + 8
	if n < batchHead || n > maxBatch || n > rest {
		return 0, false
	}
	isEnd := binary.LittleEndian.Uint32(head[16:]) == endCount
	return int(n), !isEnd || n == batchHead+8
}

// recordSize is the length of an encoded record, at most.
func recordSize(r Record) int {
	return 2*binary.MaxVarintLen64 + len(r.Key) + len(r.Value)
}

func appendRecord(buf []byte, r Record) []byte {
	buf = binary.AppendUvarint(buf, uint64(len(r.Key)))
	buf = binary.AppendUvarint(buf, uint64(len(r.Value)))
	buf = append(buf, r.Key...)
	return append(buf, r.Value...)
}

// parseRecords appends the records of a batch, which alias b, to records. It
// reports false if they are not exactly count.
func parseRecords(records []Record, b []byte, count uint32) ([]Record, bool) {
	for range count {
		key, n := binary.Uvarint(b)
		if n <= 0 {
			return nil, false
		}
		value, m := binary.Uvarint(b[n:])
		if m <= 0 {
			return nil, false
		}
		b = b[n+m:]
		if key > uint64(len(b)) || value > uint64(len(b))-key {
			return nil, false
		}
		end := key + value
		records = append(records, Record{Key: b[:key:key], Value: b[key:end:end]})
		b = b[end:]
	}
	return records, len(b) == 0
}

// Kinds of files, which their names begin with.
const (
	kindSnap = "snap"
	kindLog  = "log"
)

// fileName returns the name of a file. Leading zeros let lists of files sort.
func fileName(kind string, number uint64) string { return fmt.Sprintf("%s-%08d", kind, number) }

// parseName reads what fileName wrote, perhaps with an ending such as ".bad". It
// reports false for names of others.
func parseName(name string) (kind string, number uint64, ending string, ok bool) {
	name, ending, _ = strings.Cut(name, ".")
	kind, digits, _ := strings.Cut(name, "-")
	number, err := strconv.ParseUint(digits, 10, 62) // so that there is a next one
	if err != nil || kind != kindSnap && kind != kindLog || fileName(kind, number) != name {
		return "", 0, "", false
	}
	return kind, number, ending, true
}
