package client

// Counters returns how many counters are kept.
func (s *Sockets) Counters() int64 { return s.table.Stats().Keys }
