package node

import "strings"

// A sketch counts the keys that come most often, in the memory of hotKeys of them:
// Space-Saving of Metwally, Agrawal and El Abbadi, "Efficient Computation of Frequent and
// Top-k Elements in Data Streams" (ICDT 2005). A key without a row takes over the row of the
// least count, and that count with it. So no count is too low; it is too high by Over at
// most, which is never more than an even part of everything; and a key with more than an even
// part has a row. Other than there, keys come with a weight, and the least row is looked for
// instead of kept in order: that is done for samples only. The zero value is empty.
type sketch struct {
	at   map[hotName]int // in rows
	rows []HotKey
}

// A hotName is what tells keys apart.
type hotName struct{ namespace, limit, key string }

func (k *HotKey) name() hotName { return hotName{k.Namespace, k.Limit, k.Key} }

// add counts a key and returns its row, which is the caller's until the next call.
func (s *sketch) add(key *HotKey, weight int64) *HotKey {
	i, ok := s.at[key.name()]
	if !ok {
		i = s.room()
		row := &s.rows[i]
		if row.Takes > 0 {
			delete(s.at, row.name())
		}
		// Who calls may use the memory of its key again.
		row.Namespace, row.Limit, row.Key = strings.Clone(key.Namespace), strings.Clone(key.Limit), strings.Clone(key.Key)
		row.Over, row.Denied = row.Takes, 0
		s.at[row.name()] = i
	}
	s.rows[i].Takes += weight
	return &s.rows[i]
}

// room returns a row for another key: a new one, or that of the least count.
func (s *sketch) room() (i int) {
	if s.at == nil {
		s.at = make(map[hotName]int, hotKeys)
	}
	if len(s.rows) < hotKeys {
		s.rows = append(s.rows, HotKey{})
		return len(s.rows) - 1
	}
	for j := range s.rows {
		if s.rows[j].Takes < s.rows[i].Takes {
			i = j
		}
	}
	return i
}
