package httpapi

// What the tests look at from inside.
var (
	DecodeRequest = decodeRequest
	QueryRequest  = queryRequest
	AppendString  = appendString
	AppendSeconds = appendSeconds
)

const MaxBody = maxBody
