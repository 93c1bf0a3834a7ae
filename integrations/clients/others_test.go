package clients

import (
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// Clients by others than the vendors.
func TestOthersNode(t *testing.T) {
	url := serveHTTP(t)
	ask := func(key string, questions ...asked) (answers []answered) {
		t.Helper()
		node(t, "others.cjs", map[string]any{"url": url, "key": key, "questions": questions}, &answers)
		if len(answers) != len(questions) {
			t.Fatalf("%d answers to %d questions", len(answers), len(questions))
		}
		return answers
	}
	questions := []asked{
		{"ipinfo", "", []any{"8.8.8.8"}, `{"ip":"8.8.8.8","city":"Mountain View","country":"US","org":"AS15169 Google LLC"}`},
		{"ipinfo", "", []any{""}, `{"ip":"81.2.69.142","city":"London"}`},
		{"ipinfo", "", []any{"10.0.0.1"}, `{"ip":"10.0.0.1","bogon":true}`},
		{"geoip2ws", "country", []any{"8.8.8.8"}, `{"country":{"iso_code":"US"},"traits":{"ip_address":"8.8.8.8"},"subdivisions":[]}`},
		{"geoip2ws", "city", []any{"8.8.8.8"}, `{"city":{"names":{"en":"Mountain View"}},"most_specific_subdivision":{"iso_code":"CA"}}`},
		{"geoip2ws", "insights", []any{"146.70.1.1"}, `{"anonymizer":{"is_anonymous_vpn":true,"provider_name":"Mullvad"},"traits":{"is_anonymous":true}}`},
		{"geoip2ws", "city", []any{"me"}, `{"city":{"names":{"en":"London"}}}`},
	}
	for i, a := range ask("any", questions...) {
		if a.Error != "" {
			t.Errorf("%+v: %s", questions[i], a.Error)
			continue
		}
		says(t, a.Answer, questions[i].want)
	}
	for key, want := range map[string]string{"spent": "INSUFFICIENT_FUNDS", "wrong": "AUTHORIZATION_INVALID"} {
		for _, a := range ask(key, asked{"geoip2ws", "city", []any{"8.8.8.8"}, ""}) {
			if !strings.HasPrefix(a.Error, want) {
				t.Errorf("%s: %q, want %q", key, a.Error, want)
			}
		}
	}
}

// interpreter is the first of programs that has a module; check is its code that
// fails without it.
func interpreter(t *testing.T, debian, flag, check string, programs ...string) string {
	t.Helper()
	for _, p := range programs {
		if exec.CommandContext(t.Context(), p, flag, check).Run() == nil {
			return p
		}
	}
	if os.Getenv("CI") != "" {
		t.Fatalf("%s is not installed", debian)
	}
	t.Skipf("%s is not installed: apt-get install %s", debian, debian)
	return ""
}

// maxmindQuestions is what both of MaxMind's clients below are asked, and say.
var maxmindQuestions = [][3]string{
	{"country", "8.8.8.8", `{"iso":"US","name":"United States","address":"8.8.8.8"}`},
	{"city", "2001:4860:4860::8888", `{"city":"Mountain View","postal":"94043","subdivision":"CA","latitude":37.4056,"zone":"America/Los_Angeles","asn":15169}`},
	{"insights", "146.70.1.1", `{"iso":"DE","vpn":true,"tor":false,"user":"hosting"}`},
	{"insights", "185.220.101.4", `{"vpn":false,"tor":true}`},
	{"city", "me", `{"city":"London"}`},
	{"city", "45.67.89.1", `{"error":"IP_ADDRESS_NOT_FOUND"}`},
}

func askMaxMind(t *testing.T, file, code, program string) {
	t.Helper()
	host, ca := serveTLS(t, "maxmind")
	for key, questions := range map[string][][3]string{
		"any-0123456789":   maxmindQuestions,
		"wrong-0123456789": {{"city", "8.8.8.8", `{"error":"AUTHORIZATION_INVALID"}`}},
		"spent-0123456789": {{"city", "8.8.8.8", `{"error":"INSUFFICIENT_FUNDS"}`}},
	} {
		q, err := json.Marshal(questions)
		if err != nil {
			t.Fatal(err)
		}
		out := output(t, map[string]string{file: code}, []string{"REQUESTS_CA_BUNDLE=" + ca, "PERL_LWP_SSL_CA_FILE=" + ca, "PYTHONIOENCODING=utf-8"},
			program, file, host, key, string(q))
		var answers []json.RawMessage
		if err := json.Unmarshal(out, &answers); err != nil || len(answers) != len(questions) {
			t.Fatalf("%v: %s", err, out)
		}
		for i, a := range answers {
			says(t, a, questions[i][2])
		}
	}
}

// MaxMind's client for Python.
func TestMaxMindPython(t *testing.T) {
	program := interpreter(t, "python3-geoip2", "-c", "import geoip2.webservice", "python3", "/usr/bin/python3")
	askMaxMind(t, "main.py", `import json, sys
import geoip2.errors, geoip2.webservice

host, key, questions = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
client = geoip2.webservice.Client(42, key, host=host, timeout=60)
codes = {
    geoip2.errors.AddressNotFoundError: "IP_ADDRESS_NOT_FOUND",
    geoip2.errors.AuthenticationError: "AUTHORIZATION_INVALID",
    geoip2.errors.OutOfQueriesError: "INSUFFICIENT_FUNDS",
}
answers = []
for product, ip, _ in questions:
    try:
        r = getattr(client, product)(ip)
    except geoip2.errors.GeoIP2Error as e:
        answers.append({"error": codes.get(type(e), repr(e))})
        continue
    a = {"iso": r.country.iso_code, "name": r.country.name, "address": r.traits.ip_address}
    a.update(vpn=r.traits.is_anonymous_vpn, tor=r.traits.is_tor_exit_node, user=r.traits.user_type, asn=r.traits.autonomous_system_number)
    if product != "country":
        a.update(city=r.city.name, postal=r.postal.code, subdivision=r.subdivisions.most_specific.iso_code)
        a.update(latitude=r.location.latitude, zone=r.location.time_zone)
    answers.append(a)
print(json.dumps(answers))
`, program)
}

// MaxMind's client for Perl.
func TestMaxMindPerl(t *testing.T) {
	program := interpreter(t, "libgeoip2-perl", "-e", "use GeoIP2::WebService::Client; use LWP::Protocol::https;", "perl", "/usr/bin/perl")
	askMaxMind(t, "main.pl", `use strict;
use warnings;
use GeoIP2::WebService::Client;
use JSON::PP;
use LWP::UserAgent;

my ($host, $key, $questions) = @ARGV;
my $agent = LWP::UserAgent->new(timeout => 60);
my $client = GeoIP2::WebService::Client->new(account_id => 42, license_key => $key, host => $host, ua => $agent);
my @answers;
for my $q (@{ decode_json($questions) }) {
    my ($product, $ip) = @$q;
    my $r = eval { $client->$product(ip => $ip) };
    if (!$r) {
        my $e = $@;
        push @answers, { error => !ref $e ? "$e" : $e->isa('GeoIP2::Error::IPAddressNotFound') ? 'IP_ADDRESS_NOT_FOUND' : $e->can('code') ? $e->code : "$e" };
        next;
    }
    my $t = $r->traits;
    my %a = (iso => $r->country->iso_code, name => $r->country->name, address => $r->traits->ip_address, asn => $t->autonomous_system_number);
    $a{vpn} = $t->is_anonymous_vpn ? JSON::PP::true : JSON::PP::false if $t->can('is_anonymous_vpn');
    $a{tor} = $t->is_tor_exit_node ? JSON::PP::true : JSON::PP::false if $t->can('is_tor_exit_node');
    $a{user} = $t->user_type;
    if ($product ne 'country') {
        $a{city} = $r->city->name;
        $a{postal} = $r->postal->code;
        $a{subdivision} = $r->most_specific_subdivision->iso_code;
        $a{latitude} = 0 + ($r->location->latitude // 0);
        $a{zone} = $r->location->time_zone;
    }
    push @answers, \%a;
}
print encode_json(\@answers);
`, program)
}
