// Command postfix is a door of one's own: Postfix asks it before it takes a mail, and it asks
// bucketring. It speaks the SMTP access policy delegation protocol of Postfix'
// SMTPD_POLICY_README, and of bucketring it knows a Limiter.
package main

import (
	"bufio"
	"cmp"
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/client"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:10031", "where Postfix asks")
	nodes := flag.String("nodes", "127.0.0.1:7751", "gRPC addresses of nodes, comma separated")
	limit := flag.String("limit", "100/h, 500/d", "how many recipients a sender may have")
	flag.Parse()
	limits, err := bucketring.Parse(*limit)
	if err != nil {
		log.Fatal(err)
	}
	limiter, err := client.Dial(context.Background(), client.Config{Addrs: strings.Split(*nodes, ","), Token: os.Getenv("BUCKETRING_TOKEN")})
	if err != nil {
		log.Fatal(err)
	}
	l, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	log.Print("listening on ", l.Addr())
	log.Fatal((&door{limiter, limits}).serve(l))
}

// A door reads what its clients say, makes a Request of it, and words the Decision as they
// expect it. Its limiter may be a client, as above, or a node in this process.
type door struct {
	limiter bucketring.Limiter
	limits  []bucketring.Limit // of each sender
}

func (d *door) serve(l net.Listener) error {
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		go d.talk(conn)
	}
}

// talk answers one request after the other. On trouble it hangs up, as the protocol wants:
// then Postfix does what its smtpd_policy_service_default_action says.
func (d *door) talk(conn io.ReadWriteCloser) {
	defer conn.Close()
	var err error
	for lines := bufio.NewScanner(conn); err == nil; {
		var asked mail
		var action string
		if asked, err = read(lines); err == nil {
			action, err = d.decide(asked)
		}
		if err == nil {
			_, err = fmt.Fprintf(conn, "action=%s\n\n", action)
		}
	}
	if err != io.EOF {
		log.Print(err)
	}
}

// A mail is what a request says of it that counts here.
type mail struct {
	sender     string // who has logged in, or else the client's address
	recipients int64  // 0 while Postfix asks for each of them
}

// read reads lines of NAME=VALUE up to an empty one. Other names mean nothing to it.
func read(lines *bufio.Scanner) (m mail, err error) {
	for err == nil && lines.Scan() {
		switch name, value, isPair := strings.Cut(lines.Text(), "="); {
		case lines.Text() == "" && m.sender != "":
			return m, nil
		case !isPair || name == "request" && value != "smtpd_access_policy":
			err = fmt.Errorf("not what Postfix asks: %q", lines.Text())
		case name == "sasl_username" && value != "":
			m.sender = "user/" + value
		case name == "client_address" && m.sender == "":
			m.sender = "address/" + value
		case name == "recipient_count":
			m.recipients, err = strconv.ParseInt(value, 10, 64)
		}
	}
	return m, cmp.Or(err, lines.Err(), io.EOF)
}

// decide charges a recipient, or all that the mail has.
func (d *door) decide(m mail) (action string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	answer, err := d.limiter.Take(ctx, bucketring.Request{Key: "mail/" + m.sender, Limits: d.limits, Cost: max(1, m.recipients)})
	switch {
	case err != nil || answer.Allowed:
		return "DUNNO", err // nothing is said against it
	case answer.RetryAfter == bucketring.Never:
		return "REJECT more recipients than may ever be", nil
	}
	return fmt.Sprintf("DEFER_IF_PERMIT too many recipients, try again in %v", answer.RetryAfter.Truncate(time.Second)+time.Second), nil
}
