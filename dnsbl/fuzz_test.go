package dnsbl

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/miekg/dns"
)

// Whatever comes is an answer within bounds, or none.
func FuzzAnswer(f *testing.F) {
	q := new(dns.Msg)
	q.SetQuestion(asked, dns.TypeA)
	q.Id = 7
	for _, records := range [][]string{
		{"@ 60 A 127.0.0.2", "@ 60 A 127.255.255.254"},
		{"@ 60 CNAME a.example.", "a.example. 30 A 127.0.0.2"},
		{"@ 60 CNAME @"},
		{"bl.example. 60 SOA a. b. 1 2 3 4 5"},
		{`@ 60 TXT "a\255b" "c"`},
		{},
	} {
		m := new(dns.Msg)
		m.SetReply(q)
		for _, s := range records {
			rr, err := dns.NewRR(strings.ReplaceAll(s, "@", asked))
			if err != nil {
				f.Fatal(err)
			}
			m.Answer = append(m.Answer, rr)
		}
		b, err := m.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, false)
		f.Add(b[:len(b)/2], true)
	}
	f.Fuzz(func(t *testing.T, b []byte, text bool) {
		qtype := dns.TypeA
		if text {
			qtype = dns.TypeTXT
		}
		a, err := readAnswer(b, 7, asked, qtype)
		switch {
		case err != nil && (len(a.addrs) > 0 || a.text != ""):
			t.Errorf("%+v beside %v", a, err)
		case len(a.addrs) > maxRecords:
			t.Errorf("%d addresses", len(a.addrs))
		case len(a.text) > maxText+utf8.UTFMax+len("…") || !utf8.ValidString(a.text) || strings.ContainsFunc(a.text, func(r rune) bool { return !unicode.IsPrint(r) }):
			t.Errorf("%q", a.text)
		}
		for _, x := range a.addrs {
			if !x.Is4() {
				t.Errorf("%s", x)
			}
		}
	})
}
