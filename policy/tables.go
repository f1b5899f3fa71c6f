// tables.go keeps the rows that lookups find: credentials and the like, which the
// application feeds from files or at run time.

package policy

import (
	"maps"
)

// A tableName is a table of a namespace.
type tableName struct{ namespace, table string }

// tableShards bounds what a change of one row copies to a part of the table.
const tableShards = 256

// A table is immutable: with makes another one.
type table struct {
	file   string // where it comes from
	shards [tableShards]map[string]map[string]string
}

// shard spreads keys by their ends, which differ where keys count up.
func shard(key string) int {
	h := uint32(2166136261)
	for i := max(0, len(key)-16); i < len(key); i++ {
		h = (h ^ uint32(key[i])) * 16777619
	}
	return int((h ^ h>>16) % tableShards)
}

// row returns a row; one that is there may still be nil, which marks it deleted.
func (t *table) row(key string) (row map[string]string, ok bool) {
	row, ok = t.shards[shard(key)][key]
	return row, ok
}

// with returns the table with other rows. A nil row takes its key away, or marks
// it deleted if marks is set.
func (t *table) with(rows map[string]map[string]string, marks bool) *table {
	next := *t
	var own [tableShards]bool
	for key, row := range rows {
		s := shard(key)
		if !own[s] {
			own[s] = true
			if next.shards[s] = maps.Clone(t.shards[s]); next.shards[s] == nil {
				next.shards[s] = map[string]map[string]string{}
			}
		}
		if row == nil && !marks {
			delete(next.shards[s], key)
		} else {
			next.shards[s][key] = maps.Clone(row)
		}
	}
	return &next
}

// newTable makes a table of a file.
func newTable(file string, doc *tableDoc) *table {
	rows := make(map[string]map[string]string, len(doc.Rows))
	for _, e := range doc.Rows {
		row := make(map[string]string, len(e.Value))
		for _, field := range e.Value {
			row[field.Key.Value] = field.Value.Value
		}
		rows[e.Key.Value] = row
	}
	return (&table{file: file}).with(rows, false)
}

// A putTable is what was put into a table at run time, in front of its file.
type putTable struct {
	*table
	whole bool // the file's rows do not count
}

// Row returns a row of a lookup table, nil if there is none. It must not be
// changed.
func (s *Set) Row(namespace, table, key string) map[string]string {
	if s == nil {
		return nil
	}
	name := tableName{namespace, table}
	if put, ok := s.putTables[name]; ok {
		if row, ok := put.row(key); ok || put.whole {
			return row
		}
	}
	if t, ok := s.tables[name]; ok {
		row, _ := t.row(key)
		return row
	}
	return nil
}
