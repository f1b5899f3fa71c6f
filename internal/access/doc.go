// Package access knows callers by their tokens: which there are, what each may do, and
// until when.
//
// # Model
//
// A tokens file has one [Grant] for each token. It holds no token, but the SHA-256 of each,
// so whoever reads the file cannot call. [Tokens] is a file that was read; it implements
// [bucketring.Guard], by which the doors ask:
//
//	token -> SHA-256 -> Grant -> may it take, adjust, read or operate, in this namespace?
//
// A token is hashed once, when a call, a stream or a connection begins. What follows on
// that stream or connection finds the grant again by a pointer, and by the hash after the
// file has changed: a token that is taken out of the file ends there, too.
//
// # What it does not do
//
// It opens no socket, reads no header and watches no file: doors get the token out of
// their protocol, and cmd calls Reload. It never has a token in an error, and remembers
// none.
//
// # Concurrency
//
// A Tokens is safe for concurrent use. A file that is read later replaces the grants with
// one pointer, and a bad one replaces nothing.
//
// Files are changed by one at a time, with [Replace], which key files go through, too.
//
// Read next: grant.go, tokens.go, then file.go, edit.go and replace.go.
package access
