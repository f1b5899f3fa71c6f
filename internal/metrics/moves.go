package metrics

import (
	"time"

	"github.com/bucketring/bucketring/node"
)

// Disk is the state of --data-dir as it is shown.
type Disk struct {
	OK                             bool
	Written, Errors                uint64
	TornLogs, Quarantined, BadGaps uint64
}

// ObserveTakeOver records how long it took until all partitions were here. It is
// node.Config.ObserveTakeOver.
func (m *Metrics) ObserveTakeOver(took time.Duration) { m.takeOver.Observe(took.Seconds()) }

func collectMoves(s sink, moves node.MoveStats) {
	s.put(partitionsHere, float64(moves.Here))
	s.put(handoverKeys, float64(moves.In), "in", "ok")
	s.put(handoverKeys, float64(moves.Out), "out", "ok")
	s.put(handoverFreeze, moves.Longest.Seconds())
	s.put(copied, float64(moves.Copied))
	s.put(uncopied, float64(moves.Uncopied))
	s.put(replicationLag, moves.Lag.Seconds())
	s.put(acting, float64(moves.Acting))
	s.put(guardedParts, float64(moves.Guarded))
	s.put(pauses, float64(moves.Pauses))
	s.put(panics, float64(moves.Panics), "handover")
}

func collectDisk(s sink, d Disk) {
	s.put(diskOK, boolean(d.OK))
	s.put(diskBytes, float64(d.Written))
	s.put(diskErrors, float64(d.Errors))
	s.put(diskDamaged, float64(d.TornLogs), "torn")
	s.put(diskDamaged, float64(d.Quarantined), "quarantined")
	s.put(diskDamaged, float64(d.BadGaps), "gap")
}
