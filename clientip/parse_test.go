package clientip

import "testing"

func TestParse(t *testing.T) {
	for text, want := range map[string]string{
		"8.8.8.8": "8.8.8.8", "8.8.8.8:53": "8.8.8.8", "[2001:db8::1]:443": "2001:db8::1", "[2001:db8::1]": "2001:db8::1",
		"2001:db8::1": "2001:db8::1", "fe80::1%eth0": "fe80::1", "::ffff:8.8.8.8": "::ffff:8.8.8.8",
		"": "", "08.8.8.8": "", "8.8.8": "", "8.8.8.8:": "", "8.8.8.8:99999": "", " 8.8.8.8": "", "localhost": "", "134744072": "",
	} {
		addr, zone, ok := Parse(text)
		if ok != (want != "") || ok && addr.String() != want || zone != (text == "fe80::1%eth0") {
			t.Errorf("Parse(%q) = %v, %v, %v; want %q", text, addr, zone, ok, want)
		}
	}
}
