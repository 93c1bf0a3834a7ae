package clients

import (
	"encoding/json"
	"testing"
)

func TestIpregistryNode(t *testing.T) {
	url := serveHTTP(t) + "/compat/ipregistry"
	type question struct {
		Call     string `json:"call"`
		Args     []any  `json:"args"`
		Filter   string `json:"filter,omitempty"`
		Hostname bool   `json:"hostname,omitempty"`
	}
	type answer struct {
		Answer  json.RawMessage
		Credits struct{ Consumed, Remaining *int }
		Errors  []bool
		Error   *struct {
			API                       bool
			Code, Message, Resolution string
		}
	}
	ask := func(key string, questions ...question) (answers []answer) {
		t.Helper()
		node(t, "ipregistry.cjs", map[string]any{"url": url, "key": key, "questions": questions}, &answers)
		if len(answers) != len(questions) {
			t.Fatalf("%d answers to %d questions", len(answers), len(questions))
		}
		return answers
	}
	questions := []question{
		{Call: "lookupIp", Args: []any{"8.8.8.8"}, Hostname: true},
		{Call: "lookupIp", Args: []any{"146.70.1.1"}, Filter: "location.country[code,name],security"},
		{Call: "originLookupIp", Args: []any{}},
		{Call: "batchLookupIps", Args: []any{[]string{"126.1.2.3", "10.0.0.1", "2001:4860:4860::8888", "nobody"}}},
		{Call: "lookupAsn", Args: []any{15169}},
		{Call: "batchLookupAsns", Args: []any{[]int{13335, 64500}}},
		{Call: "originLookupAsn", Args: []any{}},
		{Call: "lookupIp", Args: []any{"10.0.0.1"}},
		{Call: "parseUserAgents", Args: []any{"Mozilla/5.0"}},
	}
	answers := ask("any", questions...)
	for i, want := range []string{
		`{"ip":"8.8.8.8","type":"IPv4","hostname":null,"company":{"name":"Google LLC","domain":"google.com"},
		  "connection":{"asn":15169,"organization":"Google LLC","route":"8.8.8.0/24","type":"hosting"},
		  "location":{"country":{"code":"US","calling_code":"1","flag":{"emoji":"🇺🇸","emoji_unicode":"U+1F1FA U+1F1F8"},"borders":[]},
		    "region":{"code":"US-CA","name":"California"},"city":"Mountain View","latitude":37.4056,"in_eu":false,"language":{"code":"en"}},
		  "security":{"is_cloud_provider":true,"is_vpn":false},"time_zone":{"id":"America/Los_Angeles"},"currency":{"code":"USD","symbol":"$"}}`,
		`{"location":{"country":{"code":"DE","name":"Germany"}},"security":{"is_vpn":true,"is_anonymous":true,"is_tor":false}}`,
		`{"ip":"81.2.69.142","location":{"city":"London"},"user_agent":{"device":{"brand":null}}}`,
		`[{"ip":"126.1.2.3","carrier":{"name":"SoftBank","mcc":"440","mnc":"20"}},{"code":"RESERVED_IP_ADDRESS"},
		  {"ip":"2001:4860:4860::8888","type":"IPv6"},{"code":"INVALID_IP_ADDRESS"}]`,
		`{"asn":15169,"name":"Google LLC","registry":"ARIN","type":"hosting","prefixes":{"ipv4_count":2,"ipv6_count":1,"ipv4":[{"cidr":"8.8.8.0/24","size":256},{}]}}`,
		`[{"asn":13335,"name":"CLOUDFLARENET"},{"code":"RESERVED_ASN"}]`,
		`{"asn":20712,"name":"Andrews & Arnold Ltd","registry":"RIPE_NCC"}`,
		`{"code":"RESERVED_IP_ADDRESS","api":true}`,
		`[{"header":"Mozilla/5.0","os":{"name":null}}]`,
	} {
		a := answers[i]
		got := a.Answer
		if a.Error != nil {
			got, _ = json.Marshal(map[string]any{"code": a.Error.Code, "api": a.Error.API})
			if a.Error.Message == "" || a.Error.Resolution == "" {
				t.Errorf("%+v: an error without words: %+v", questions[i], a.Error)
			}
		}
		t.Run(questions[i].Call, func(t *testing.T) { says(t, got, want) })
	}
	if b := answers[3]; len(b.Errors) != 4 || b.Errors[0] || !b.Errors[1] || b.Errors[2] || !b.Errors[3] || b.Credits.Consumed == nil || *b.Credits.Consumed != 4 {
		t.Errorf("the batch has errors %v and cost %v", b.Errors, b.Credits)
	}
	for key, code := range map[string]string{"wrong": "INVALID_API_KEY", "spent": "INSUFFICIENT_CREDITS"} {
		if a := ask(key, questions[0])[0]; a.Error == nil || a.Error.Code != code {
			t.Errorf("with the key %s: %+v, not %s", key, a.Error, code)
		}
	}
}
