package clients

import (
	"encoding/json"
	"testing"
)

// nodeError is how MaxMind's client rejects.
type nodeError struct {
	Code, Error string
	Status      int
}

func TestMaxMindNode(t *testing.T) {
	host, ca := serveTLS(t, "maxmind")
	type answer struct {
		Answer json.RawMessage
		Error  *nodeError
	}
	ask := func(key string, questions ...[2]string) (answers []answer) {
		t.Helper()
		node(t, "maxmind.cjs", map[string]any{"host": host, "account": "42", "key": key, "questions": questions}, &answers, "NODE_EXTRA_CA_CERTS="+ca)
		if len(answers) != len(questions) {
			t.Fatalf("%d answers to %d questions", len(answers), len(questions))
		}
		return answers
	}
	for i, a := range ask("any",
		[2]string{"country", "8.8.8.8"}, [2]string{"city", "2001:4860:4860::8888"}, [2]string{"insights", "146.70.1.1"},
		[2]string{"insights", "185.220.101.4"}, [2]string{"city", "126.1.2.3"}, [2]string{"city", "10.0.0.1"}, [2]string{"city", "198.51.100.20"}) {
		want := []string{
			`{"continent":{"code":"NA"},"country":{"isoCode":"US","names":{"en":"United States","de":"Vereinigte Staaten"}},
			  "traits":{"ipAddress":"8.8.8.8","network":"8.8.8.0/24","isAnycast":true,"isAnonymous":false,"isTorExitNode":false}}`,
			`{"city":{"names":{"en":"Mountain View"}},"location":{"latitude":37.4056,"longitude":-122.0775,"accuracyRadius":100,"timeZone":"America/Los_Angeles"},
			  "postal":{"code":"94043"},"subdivisions":[{"isoCode":"CA","names":{"en":"California"}}],
			  "traits":{"autonomousSystemNumber":15169,"autonomousSystemOrganization":"Google LLC","domain":"google.com","isp":"Google LLC","ipAddress":"2001:4860:4860::8888"}}`,
			`{"anonymizer":{"isAnonymous":true,"isAnonymousVpn":true,"isHostingProvider":true,"isTorExitNode":false,"providerName":"Mullvad","confidence":90},
			  "country":{"isoCode":"DE","isInEuropeanUnion":true},"traits":{"isAnonymousVpn":true,"isPublicProxy":false,"userType":"hosting"}}`,
			`{"anonymizer":{"isTorExitNode":true,"isAnonymousVpn":false},"traits":{"isTorExitNode":true}}`,
			`{"traits":{"connectionType":"Cellular","mobileCountryCode":"440","mobileNetworkCode":"20"},"country":{"names":{"ja":"日本"}}}`,
			`{"code":"IP_ADDRESS_RESERVED","status":400}`,
			`{"code":"IP_ADDRESS_NOT_FOUND","status":404}`,
		}[i]
		got := a.Answer
		if a.Error != nil {
			got, _ = json.Marshal(map[string]any{"code": a.Error.Code, "status": a.Error.Status})
		}
		says(t, got, want)
	}
	for key, want := range map[string]nodeError{
		"wrong": {Code: "AUTHORIZATION_INVALID", Status: 401},
		"spent": {Code: "INSUFFICIENT_FUNDS", Status: 402},
	} {
		a := ask(key, [2]string{"city", "8.8.8.8"})[0]
		if a.Error == nil || a.Error.Code != want.Code || a.Error.Status != want.Status || a.Error.Error == "" {
			t.Errorf("with the key %s: %+v, not %+v", key, a, want)
		}
	}
}
