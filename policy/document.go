// document.go is the shape of a policy file. The tags say all that concerns one
// value alone; decode.go holds files against them, schema.go publishes them, and
// compile.go checks what concerns several values.
//
//	key    the name in the file; scalar marks the value if it is written alone
//	need   must be there
//	form   how a scalar is written: see forms
//	words  the only words that are allowed
//	least  smallest number, or fewest elements
//	most   largest number, or most elements
//	keys   the form of the keys of entries
//	of     what an element is called in errors
//	kinds  the kinds of limits that can have it
//	doc    what it means

package policy

import "go.yaml.in/yaml/v3"

// A text is a scalar with its place; absent if the node is nil.
type text struct{ *yaml.Node }

func (t text) set() bool { return t.Node != nil }

// or returns the text, or a default where it is absent.
func (t text) or(otherwise string) string {
	if t.Node == nil {
		return otherwise
	}
	return t.Value
}

// A raw is any JSON value.
type raw struct{ *yaml.Node }

// A mapping is the node of a struct; nil if it is absent.
type mapping struct{ Node *yaml.Node }

// An entry is one key of a mapping whose keys are free.
type entry[T any] struct {
	Key   text
	Value T
}

type document struct {
	mapping
	APIVersion text                 `key:"apiVersion" need:"y" words:"limits/v1" doc:"The version of this format."`
	Namespace  text                 `key:"namespace" need:"y" form:"namespace" doc:"The name that calls give; also the RLS domain."`
	Clock      clockDoc             `key:"clock" of:"clock" doc:"The clock of calendar windows."`
	Identify   []entry[[]sourceDoc] `key:"identify" keys:"attribute" of:"source" doc:"Where the HTTP doors find attributes: sources in order, the first that yields a value wins."`
	Access     []accessDoc          `key:"access" of:"access rule" doc:"Refusals that are not rates, in order, before anything is counted."`
	Limits     []limitDoc           `key:"limits" need:"y" of:"limit" least:"1" most:"10000" doc:"What is limited."`
	Charge     text                 `key:"charge" words:"all_or_nothing each" doc:"Whether a denied call charges the limits that have room. Default all_or_nothing."`
	ShardBy    []text               `key:"shard_by" form:"attribute" doc:"Attributes by which the limits of one caller live together. Default the first that all keys share."`
	Overrides  []overrideDoc        `key:"overrides" of:"override" doc:"Other values for some callers."`
	Responses  responsesDoc         `key:"responses" of:"responses" doc:"Headers, refusals, bodies and the usage page."`
	Metrics    metricsDoc           `key:"metrics" of:"metrics" doc:"What becomes a label."`
}

type clockDoc struct {
	mapping
	Zone text `key:"zone" form:"zone" doc:"IANA time zone of calendar windows. Default UTC."`
}

type sourceDoc struct {
	mapping
	Header     text       `key:"header" form:"header" doc:"The value of a header."`
	Scheme     text       `key:"scheme" form:"scheme" doc:"Of a header: take what follows this word."`
	Hash       text       `key:"hash" words:"sha256" doc:"Of a header: take its hex digest."`
	Query      text       `key:"query" form:"string" doc:"The value of a query parameter."`
	PathParam  text       `key:"path_param" form:"pathparam" doc:"The segment in braces of a path that matches."`
	Peer       peerDoc    `key:"peer_address" of:"peer_address" doc:"The client's address."`
	Descriptor text       `key:"descriptor" form:"string" doc:"An entry of the RLS descriptor."`
	Lookup     *lookupDoc `key:"lookup" of:"lookup" doc:"A field of a row of a table."`
}

type peerDoc struct {
	mapping
	Trusted []text `key:"trust_forwarded_from" form:"cidr" doc:"Hops whose X-Forwarded-For is believed. Default none."`
	V4      text   `key:"v4_prefix" form:"int" least:"1" most:"32" doc:"Bits of an IPv4 address that count. Default 32."`
	V6      text   `key:"v6_prefix" form:"int" least:"1" most:"128" doc:"Bits of an IPv6 address that count. Default 64."`
}

type lookupDoc struct {
	mapping
	Table text `key:"table" need:"y" form:"table" doc:"The table."`
	By    text `key:"by" need:"y" form:"attribute" doc:"The attribute that names the row, or bearer."`
	Field text `key:"field" need:"y" form:"string" doc:"The field of the row."`
}

type whenDoc struct {
	mapping
	Method []text        `key:"method" form:"method" least:"1" doc:"One of these methods, in upper case."`
	Path   []text        `key:"path" form:"glob" least:"1" doc:"A path like one of these: * is one segment, ** any number."`
	Plan   []text        `key:"plan" form:"value" least:"1" doc:"One of these plans."`
	Attr   []entry[text] `key:"attr" keys:"attribute" form:"test" of:"attr" least:"1" doc:"Tests of attributes: a value, present, absent, or alternatives a|b; = takes the rest literally."`
}

type accessDoc struct {
	mapping
	Name text          `key:"name" need:"y" form:"name" doc:"Unique among the access rules."`
	When whenDoc       `key:"when" of:"when" doc:"The calls that are refused. Default all."`
	Deny accessDenyDoc `key:"deny" of:"deny" doc:"What the refusal looks like."`
}

type accessDenyDoc struct {
	mapping
	Status text `key:"status" form:"int" least:"400" most:"599" doc:"HTTP status. Default 403."`
	Body   text `key:"body" form:"body" doc:"Name of a body, or problem. Default problem."`
}

type limitDoc struct {
	mapping
	Name          text      `key:"name" need:"y" form:"name" doc:"Unique in the file; appears in headers, metrics, overrides."`
	Kind          text      `key:"kind" words:"rate concurrency level cap" doc:"What is counted. Default rate."`
	When          whenDoc   `key:"when" of:"when" doc:"The calls that it applies to. Default all."`
	Key           []text    `key:"key" form:"attribute" doc:"The attributes that separate counters. Default none: one counter."`
	Limit         amountDoc `key:"limit" need:"y" of:"limit" doc:"The amount."`
	Unit          text      `key:"unit" form:"unit" doc:"What is counted, for people. Default requests."`
	Precision     text      `key:"precision" form:"int" least:"0" most:"6" doc:"Decimal places that are kept. Default 0."`
	Cost          costDoc   `key:"cost" of:"cost" doc:"What one call costs."`
	Per           text      `key:"per" form:"window" kinds:"rate" doc:"The window: 30s, 1m, 1h, 1d, 1w, 1month or 1y."`
	Algorithm     text      `key:"algorithm" words:"token_bucket fixed_window sliding_window" kinds:"rate" doc:"How it is counted. Default token_bucket."`
	Burst         text      `key:"burst" form:"amount" kinds:"rate" doc:"Capacity of a token_bucket. Default the limit."`
	Align         text      `key:"align" words:"epoch calendar first_request" kinds:"rate" doc:"Where fixed windows begin. Default epoch."`
	Lease         leaseDoc  `key:"lease" of:"lease" kinds:"concurrency" doc:"How long a place is held."`
	Scope         text      `key:"scope" words:"cluster node connection" kinds:"rate concurrency" doc:"Who shares a counter. Default cluster."`
	Mode          text      `key:"mode" words:"enforce shadow off" doc:"What its verdict is worth. Default enforce."`
	Headers       text      `key:"headers" form:"bool" kinds:"rate concurrency level" doc:"Whether headers can show it. Default true."`
	OnUnavailable text      `key:"on_unavailable" words:"local allow deny" kinds:"rate concurrency level" doc:"What to answer when the counter cannot be asked. Default local, of a level deny."`
	Accuracy      text      `key:"accuracy" words:"leased strict approx" kinds:"rate" doc:"How far nodes may answer by themselves. Default leased."`
	Slack         text      `key:"slack" form:"percent" kinds:"rate" doc:"Part of the capacity that may be out on leases at once. Default 5%."`
	Durability    text      `key:"durability" words:"none replica" kinds:"rate concurrency level" doc:"Whether a call is answered only once a second node knows of it. Default none, of a level replica."`
	Deny          denyDoc   `key:"deny" of:"deny" doc:"What a refusal looks like, merged over responses.deny."`
}

type amountDoc struct {
	mapping
	Scalar  text          `scalar:"y" form:"amount" words:"unlimited" doc:"The same for all plans."`
	By      text          `key:"by" need:"y" words:"plan" doc:"What the values are told apart by."`
	Values  []entry[text] `key:"values" need:"y" keys:"value" form:"amount" words:"unlimited custom" of:"values" least:"1" doc:"An amount for each plan, unlimited, or custom: it must come from an override."`
	Default text          `key:"default" form:"amount" words:"unlimited custom deny" doc:"For other plans. Default deny."`
}

type costDoc struct {
	mapping
	From    text `key:"from" words:"number attr content_length report" doc:"Where the cost comes from. Default number: it comes with the call."`
	Attr    text `key:"attr" form:"attribute" doc:"The attribute with the number."`
	Reserve text `key:"reserve" words:"attr" doc:"Of report: charge the attribute attr first."`
	Default text `key:"default" form:"amount" doc:"Where the attribute is absent. Default 1, of report 0."`
}

type leaseDoc struct {
	mapping
	TTL       text `key:"ttl" need:"y" form:"duration" doc:"How long it lives after it was taken or renewed."`
	Renewable text `key:"renewable" form:"bool" doc:"Whether renewing moves its end. Default true."`
	Max       text `key:"max" form:"duration" doc:"How long it lives at most. Default for ever."`
}

type overrideDoc struct {
	mapping
	Match  []entry[text] `key:"match" need:"y" keys:"attribute" form:"value" of:"match" least:"1" doc:"Attributes that callers must have; * stands for any characters."`
	Limits []entry[text] `key:"limits" need:"y" keys:"name" form:"amount" words:"unlimited" of:"limits" least:"1" doc:"Their amounts, by name of limit."`
	Until  text          `key:"until" form:"time" doc:"When it ends: RFC 3339 with an offset. Default never."`
}

type responsesDoc struct {
	mapping
	Headers headersDoc    `key:"headers" of:"headers" doc:"Rate limit header fields."`
	Deny    commonDenyDoc `key:"deny" of:"deny" doc:"What refusals look like."`
	Bodies  []entry[raw]  `key:"bodies" keys:"body" of:"bodies" doc:"JSON values by name. A string ${NAME} becomes a variable."`
	Usage   *usageDoc     `key:"usage" of:"usage" doc:"The page on which callers see what they used."`
}

type headersDoc struct {
	mapping
	Style  text `key:"style" words:"x-ratelimit ietf both none" doc:"Which fields. Default x-ratelimit."`
	Reset  text `key:"reset" words:"unix delta" doc:"How X-RateLimit-Reset counts. Default unix."`
	Send   text `key:"send" words:"always on_deny" doc:"On which answers. Default always."`
	Select text `key:"select" words:"most_restrictive" doc:"Which limit is shown."`
}

type commonDenyDoc struct {
	mapping
	Status     text `key:"status" form:"int" least:"400" most:"599" doc:"HTTP status. Default 429, of a cap 413."`
	Body       text `key:"body" form:"body" doc:"Name of a body, or problem. Default problem."`
	RetryAfter text `key:"retry_after" words:"header none estimate" doc:"Whether Retry-After is sent; estimate is for concurrency. Default header."`
	RetryBasis text `key:"retry_after_basis" words:"next full" doc:"Until the call fits, or until the limit is wholly free. Default next."`
}

type denyDoc struct {
	commonDenyDoc
	CloseCode   text `key:"close_code" form:"int" least:"4000" most:"4999" doc:"A WebSocket is accepted, then closed with this code."`
	CloseReason text `key:"close_reason" form:"reason" doc:"The reason of the close, at most 123 bytes."`
}

type usageDoc struct {
	mapping
	Path text   `key:"path" need:"y" form:"route" doc:"METHOD /path."`
	Key  []text `key:"key" form:"attribute" doc:"The attributes that name a caller."`
	Body raw    `key:"body" need:"y" doc:"A JSON value with variables such as ${LIMIT.used}."`
}

type metricsDoc struct {
	mapping
	Labels []text `key:"labels" form:"attribute" doc:"Attributes, method or endpoint."`
}

// A tableDoc is a file with rows of a lookup table.
type tableDoc struct {
	mapping
	APIVersion text                   `key:"apiVersion" need:"y" words:"limits-table/v1" doc:"The version of this format."`
	Namespace  text                   `key:"namespace" need:"y" form:"namespace" doc:"The namespace whose lookups read it."`
	Table      text                   `key:"table" need:"y" form:"table" doc:"The name of the table."`
	Rows       []entry[[]entry[text]] `key:"rows" need:"y" keys:"value" form:"value" of:"rows" doc:"The fields of each row, by key."`
}
