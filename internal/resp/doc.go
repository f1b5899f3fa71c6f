// Package resp is the Redis door: it serves rate limits to any client that speaks
// the Redis protocol, from a [bucketring.Limiter].
//
// # Model
//
// A client sends CL.THROTTLE, the command of redis-cell, and gets its five numbers.
// One call is one [bucketring.Request] with a limit of [bucketring.Cell] that it
// brings along, and the [bucketring.Decision] becomes the reply:
//
//	bytes -> decoder -> command -> Request -> Limiter -> Decision -> reply -> bytes
//
// GET, SET, INCR, INCREX, EXPIRE, TTL and their kin are about counters: signed numbers
// with or without an expiry. A counter is a [bucketring.Register], and [CounterStep] is
// what its owner runs; the door says in numbers what the client wants, and makes the
// reply of the numbers that it gets. A bucket and a counter are two types: keys and
// commands that do not go together are a WRONGTYPE, as far as decision 0030 promises.
//
// RL.TAKE and its kin are about limits that a policy has: their words are a namespace and
// attributes, or ids of what a take has handed out, and become a [bucketring.Request] without
// further ado. Where that counts only the node knows, so they always run beside the connection.
//
// PING, HELLO, AUTH, CLIENT, INFO and the like are what clients say before their user's
// first command. A connection speaks RESP2 until it asks for RESP3 with HELLO 3.
//
// Bounds hold before memory is spent: a length that a client announces reserves
// nothing, only bytes that have arrived do. Command, argument, line, commands in
// flight, unread replies and connections each have a bound; decode.go and conn.go
// name them. Who breaks one of a command's bounds gets an error and is cut off.
//
// # Order
//
// Replies leave in the order of the commands. A command that the Limiter cannot
// decide at once, because another node has to, is carried out beside the connection:
// those behind it on other keys go on and only their replies wait. Commands of one
// connection on one key, or about one caller of a policy, take effect in their order.
//
// # What it does not do
//
// It keeps no counter, knows no ring and opens no socket. There are no
// other data types, scripts, transactions, subscriptions and databases: what is not
// offered gets the error for an unknown command. A key is never logged.
//
// # Concurrency
//
// A [Server] is safe for concurrent use. A connection has two goroutines, one that
// reads and decides and one that writes, and one more for each key on which a
// command waits for another node. A panic costs the one command in which it happened.
//
// Read next: server.go, conn.go, queue.go, then command.go, throttle.go, keys.go and job.go.
// For counters: step.go and apply.go at the owner; counter.go, options.go and counting.go
// before that. For policies: policy.go, lease.go and decision.go. decode.go and encode.go
// stand for themselves.
package resp
