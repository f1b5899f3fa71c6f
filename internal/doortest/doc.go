// Package doortest lets programs that are not ours ask a real node. It has no
// code, only tests: each builds and starts the binary, and then what its users
// have in front of it or in their hands, on loopback and in a folder of its own.
//
//	proxies   nginx, Caddy and HAProxy, with the files of deploy/ as they are
//	          but for their addresses, in front of an application
//	clients   every snippet of docs/clients.md, run as it stands there, and its
//	          output held against the block below it; those of docs/redis.md too
//	OpenAPI   every example of internal/httpapi/openapi.yaml, sent as it stands there
//	table     one table of decisions, through every door: each says the same, and so does
//	          a node in the program itself, and a door outside of the house, docs/examples/postfix
//
// Run with:
//
//	go test ./internal/doortest                  what needs no process: files and documents in themselves
//	go test ./internal/doortest -programs -v     all of it; .ci/programs.sh installs what Debian has of it
//
// Client libraries in Go are in the module clients below this folder.
//
// What a program that is missing would show is skipped by name.
// BUCKETRING_BIN names a binary to test instead of the one that is built.
//
// Read next: main_test.go and node_test.go for the processes, proxy_test.go for
// what every proxy must do, clients_test.go, openapi_test.go and table_test.go.
// A new door is a file like door_resp_test.go and a line in table_test.go.
package doortest
