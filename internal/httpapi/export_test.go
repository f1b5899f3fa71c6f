package httpapi

// What the tests look at from inside.
var (
	DecodeRequest = decodeRequest
	QueryRequest  = queryRequest
	AppendString  = appendString
	AppendSeconds = appendSeconds
	DecodeLeases  = decodeLeases
	DecodeSettle  = decodeSettle
	DecodeLevel   = decodeLevel
	DecodeRows    = decodeRows
	Amount        = amount
)

const MaxBody = maxBody
