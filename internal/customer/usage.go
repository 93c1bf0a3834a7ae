package customer

// Class is what kind of call was counted. Only [Charged] is against a quota.
type Class uint8

const (
	Charged  Class = iota // a look-up with a live key that was answered, 2xx or 304
	Tested                // the same with a test key
	Rejected              // 401 and 403
	Limited               // 429
	Failed                // other 4xx, and 5xx
	NumClasses
)

func (c Class) String() string {
	return [...]string{"charged", "tested", "rejected", "limited", "failed", "unknown"}[min(c, NumClasses)]
}

// Endpoint is what was asked: a closed set, for the sums.
type Endpoint uint8

const (
	EndpointLookup Endpoint = iota // /v1/ip/{ip}
	EndpointBulk
	EndpointASN
	EndpointNetwork
	EndpointDecide
	EndpointDialect
	NumEndpoints
)

func (e Endpoint) String() string {
	return [...]string{"lookup", "bulk", "asn", "network", "decide", "dialect", "unknown"}[min(e, NumEndpoints)]
}
