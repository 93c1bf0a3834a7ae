package clients

import (
	"encoding/json"
	"strings"
	"testing"
)

// asked is a call of a client, and what it has to say.
type asked struct {
	Client string `json:"client,omitempty"`
	Call   string `json:"call"`
	Args   []any  `json:"args"`
	want   string
}

// answered is what the client made of it.
type answered struct {
	Answer json.RawMessage
	Error  string
}

func TestIPinfoNode(t *testing.T) {
	ask := func(key string, questions ...asked) (answers []answered) {
		t.Helper()
		node(t, "ipinfo.cjs", map[string]any{"url": serveHTTP(t) + "/compat/ipinfo", "key": key, "questions": questions}, &answers)
		if len(answers) != len(questions) {
			t.Fatalf("%d answers to %d questions", len(answers), len(questions))
		}
		return answers
	}
	questions := []asked{
		{"legacy", "lookupIp", []any{"8.8.8.8"}, `{"ip":"8.8.8.8","city":"Mountain View","countryCode":"US","country":"United States","loc":"37.4056,-122.0775",
			"org":"AS15169 Google LLC","asn":{"asn":"AS15169","route":"8.8.8.0/24"},"privacy":{"hosting":true,"vpn":false,"service":""}}`},
		{"legacy", "lookupIp", []any{"2001:4860:4860::8888"}, `{"ip":"2001:4860:4860::8888","asn":{"route":"2001:4860::/32"}}`},
		{"legacy", "lookupIp", []any{"126.1.2.3"}, `{"city":"東京","carrier":{"name":"SoftBank","mcc":"440","mnc":"20"}}`},
		{"legacy", "lookupASN", []any{"AS15169"}, `{"asn":"AS15169","num_ips":8448,"prefixes":[{"netblock":"8.8.8.0/24"},{}],"prefixes6":[{}],"downstreams":[]}`},
		{"legacy", "lookupResproxy", []any{"8.8.8.8"}, `{}`},
		{"legacy", "getBatch", []any{[]string{"8.8.4.4", "8.8.8.8/city", "AS64500", "nonsense", "1.1.1.1"}}, `{"8.8.8.8/city":"Mountain View","AS64500":{"name":"EXAMPLE-AS"},
			"nonsense":{"error":{"title":"Wrong ip"}},"1.1.1.1":{"countryCode":"AU"}}`},
		{"lite", "lookupIp", []any{"8.8.8.8"}, `{"ip":"8.8.8.8","asn":"AS15169","asName":"Google LLC","countryCode":"US","continentCode":"NA"}`},
		{"core", "lookupIp", []any{"8.8.8.8"}, `{"geo":{"city":"Mountain View","country_code":"US","country_name":"United States"},"as":{"asn":"AS15169"},"is_anycast":true}`},
		{"plus", "lookupIp", []any{"146.70.1.1"}, `{"anonymous":{"is_vpn":true,"name":"Mullvad"},"is_anonymous":true,"is_hosting":true}`},
		{"plus", "lookupIp", []any{}, `{"ip":"81.2.69.142","geo":{"city":"London"},"mobile":{}}`},
	}
	for i, a := range ask("any", questions...) {
		if a.Error != "" {
			t.Errorf("%+v: %s", questions[i], a.Error)
			continue
		}
		says(t, a.Answer, questions[i].want)
	}
	for key, want := range map[string]string{"spent": "ApiLimitError", "wrong": "403"} {
		for _, a := range ask(key, asked{"legacy", "lookupIp", []any{"8.8.8.8"}, ""}) {
			if !strings.Contains(a.Error, want) {
				t.Errorf("%s: %q, want %q", key, a.Error, want)
			}
		}
	}
}

func TestIPDataNode(t *testing.T) {
	url := serveHTTP(t)
	ask := func(key string, questions ...asked) (answers []answered) {
		t.Helper()
		node(t, "ipdata.cjs", map[string]any{"key": key, "questions": questions}, &answers, "https_proxy="+url, "no_proxy=")
		if len(answers) != len(questions) {
			t.Fatalf("%d answers to %d questions", len(answers), len(questions))
		}
		return answers
	}
	questions := []asked{
		{"", "lookup", []any{"8.8.8.8"}, `{"ip":"8.8.8.8","is_eu":false,"country_code":"US","latitude":37.4056,"asn":{"asn":"AS15169","type":"hosting"},
			"languages":[{"code":"en"},{"code":"es"}],"currency":{"code":"USD"},"time_zone":{"name":"America/Los_Angeles"},
			"threat":{"is_datacenter":true,"is_vpn":false,"blocklists":[]},"count":"0","status":200}`},
		{"", "lookup", []any{}, `{"ip":"81.2.69.142","city":"London","status":200}`},
		{"", "lookup", []any{"8.8.8.8", "country_name"}, `{"country_name":"United States","status":200}`},
		{"", "lookup", []any{"146.70.1.1", "threat"}, `{"threat":{"is_vpn":true,"is_anonymous":false},"status":200}`},
		{"", "lookup", []any{"8.8.8.8", nil, []string{"ip", "asn"}}, `{"ip":"8.8.8.8","asn":{"name":"Google LLC"},"status":200}`},
		{"", "lookup", []any{"2001:4860:4860::8888"}, `{"ip":"2001:4860:4860::8888","status":200}`},
		{"", "lookup", []any{"127.0.0.1"}, `{"message":"127.0.0.1 is a private IP address","status":400}`},
		{"", "bulkLookup", []any{[]string{"8.8.8.8", "1.1.1.1"}}, `[{"ip":"8.8.8.8","status":200},{"ip":"1.1.1.1","country_code":"AU","status":200}]`},
		{"", "bulkLookup", []any{[]string{"8.8.8.8", "1.1.1.1"}, []string{"ip", "city"}}, `[{"ip":"8.8.8.8","city":"Mountain View"},{"ip":"1.1.1.1","city":null}]`},
	}
	for i, a := range ask("any", questions...) {
		if a.Error != "" {
			t.Errorf("%+v: %s", questions[i], a.Error)
			continue
		}
		says(t, a.Answer, questions[i].want)
	}
	for key, want := range map[string]string{"spent": `{"status":403}`, "wrong": `{"status":403}`} {
		for _, a := range ask(key, asked{"", "lookup", []any{"8.8.8.8"}, ""}) {
			says(t, a.Answer, want)
		}
	}
}
