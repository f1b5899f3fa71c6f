package client

// Counters returns how many counters are kept.
func (s *Sockets) Counters() int64 { return s.table.Stats().Keys }

// For how long a node that failed is not asked first.
const (
	PassedOver    = passedOver
	MaxPassedOver = maxPassedOver
)

// Refused and UsedUp are what answers say.
var (
	Refused = refused
	UsedUp  = usedUp
)
