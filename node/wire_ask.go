// wire_ask.go writes questions for slices and reads them.

package node

import (
	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/ring"
	"github.com/bucketring/bucketring/transport/peerpb"
)

// askDef writes a limit with all that says how it is lent.
func askDef(l *bucketring.Limit) *peerpb.Def {
	d := limitDef(l)
	d.Accuracy, d.Slack, d.Unavailable = uint32(l.Accuracy), uint32(l.Slack), uint32(l.Unavailable)
	return d
}

// askOf reads a question as a call that only looks. ok is false for what no node asks.
func askOf(q *peerpb.Ask) (req bucketring.Request, ok bool) {
	if q.GetPart() >= ring.Partitions || len(q.GetDefs()) == 0 || len(q.GetDefs()) > maxAsked || len(q.GetDefs()) != len(q.GetKeys()) {
		return req, false
	}
	req = bucketring.Request{Verb: bucketring.VerbPeek, Partition: q.GetPart()}
	for i, d := range q.GetDefs() {
		limit := limitOf(d)
		limit.Accuracy, limit.Unavailable = bucketring.Accuracy(min(d.GetAccuracy(), 255)), bucketring.Unavailable(min(d.GetUnavailable(), 255))
		limit.Slack = uint16(min(d.GetSlack(), bucketring.MaxSlack+1))
		if limit.Validate() != nil || limit.Lendable() == 0 {
			return req, false
		}
		req.Charges = append(req.Charges, bucketring.Charge{Limit: limit, Key: string(q.GetKeys()[i])})
	}
	return req, true
}

// maxAsked bounds the limits of a bundle.
const maxAsked = 64
