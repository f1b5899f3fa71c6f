package transport

// OldestWire is the first version of the protocol between nodes that this program speaks.
const OldestWire = leastWire

// LatestWire is the last version of the protocol between nodes that this program speaks.
const LatestWire = wireVersion
