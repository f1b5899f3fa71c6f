package main

import (
	"context"
	"io"
	"strings"
	"testing"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/node"
)

// A connection is one on which Postfix has said all that it will say.
type connection struct {
	io.Reader
	strings.Builder // what it is answered
}

func (*connection) Close() error { return nil }

// newDoor returns one with a node of its own.
func newDoor(t *testing.T, limit string) *door {
	t.Helper()
	n, err := node.New(node.Config{Name: "embedded"})
	if err != nil {
		t.Fatal(err)
	}
	return &door{n, bucketring.MustParse(limit)}
}

// ask returns the actions that a door answers to requests over one connection.
func ask(d *door, requests ...string) (actions []string) {
	conn := &connection{Reader: strings.NewReader(strings.Join(requests, ""))}
	d.talk(conn)
	for reply := range strings.SplitSeq(conn.String(), "\n\n") {
		actions = append(actions, strings.TrimPrefix(reply, "action="))
	}
	return actions[:len(actions)-1] // behind the last empty line is nothing
}

// request is as Postfix sends one, with what is left out here.
func request(lines ...string) string {
	return "request=smtpd_access_policy\nprotocol_state=RCPT\nsize=12345\n" + strings.Join(lines, "\n") + "\n\n"
}

const (
	dunno = "DUNNO"
	later = "DEFER_IF_PERMIT too many recipients, try again in "
	never = "REJECT more recipients than may ever be"
)

func TestDoor(t *testing.T) {
	anne, bob := request("client_address=10.0.0.1", "sasl_username=anne", "recipient_count=0"), request("sasl_username=", "client_address=10.0.0.1")
	for name, tt := range map[string]struct {
		requests []string
		want     string // the beginning of each action
	}{
		"each recipient, up to the limit": {[]string{anne, anne, anne, anne}, dunno + "|" + dunno + "|" + dunno + "|" + later},
		"who has logged in is no address": {[]string{anne, anne, anne, bob, anne}, dunno + "|" + dunno + "|" + dunno + "|" + dunno + "|" + later},
		"all recipients at once, or none": {[]string{request("sasl_username=a", "recipient_count=2"), request("sasl_username=a", "recipient_count=2"),
			request("sasl_username=a", "recipient_count=1"), request("sasl_username=a", "recipient_count=1")}, dunno + "|" + later + "|" + dunno + "|" + later},
		"more than can ever be":          {[]string{request("sasl_username=a", "recipient_count=4")}, never},
		"a name with any letters":        {[]string{request("sasl_username= =a=ü"), request("sasl_username= =a=ü", "recipient_count=3")}, dunno + "|" + later},
		"a request that is cut off":      {[]string{anne, "request=smtpd_access_policy\nsasl_username=anne\n"}, dunno},
		"nothing behind what is unknown": {[]string{anne, "no pair\n", anne}, dunno},
		"another protocol":               {[]string{"request=junk\nsasl_username=anne\n\n", anne}, ""},
		"no number":                      {[]string{request("sasl_username=anne", "recipient_count=many"), anne}, ""},
		"nobody":                         {[]string{request("client_name=x"), anne}, ""},
	} {
		got := ask(newDoor(t, "3/h"), tt.requests...)
		want := strings.FieldsFunc(tt.want, func(r rune) bool { return r == '|' })
		if len(got) != len(want) {
			t.Errorf("%s: %q, want %q", name, got, want)
			continue
		}
		for i := range want {
			if !strings.HasPrefix(got[i], want[i]) {
				t.Errorf("%s: answer %d is %q, want %q", name, i+1, got[i], want[i])
			}
		}
	}
}

// undecided is a Limiter that nobody answers.
type undecided struct{}

func (undecided) Take(context.Context, bucketring.Request) (bucketring.Decision, error) {
	return bucketring.Decision{}, bucketring.ErrUnavailable
}

// Where nobody decides it hangs up: what then becomes of the mail is said in Postfix.
func TestDoorHangsUp(t *testing.T) {
	d := &door{undecided{}, bucketring.MustParse("3/h")}
	if got := ask(d, request("sasl_username=anne"), request("sasl_username=bob")); len(got) != 0 {
		t.Errorf("answers %q, want none", got)
	}
}
