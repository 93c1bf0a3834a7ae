package cloudfront

import (
	"fmt"
	"strings"
	"testing"
)

func TestMistakes(t *testing.T) {
	_, err := Rules{
		Allow: []string{"x"}, Block: []string{"203.0.113.0/33", "203.0.113.04", "203.0.113.1/24"}, Countries: []string{"se", "');//"},
		Path: "//x", Cookie: "a b", Secret: "a'b", Risk: 101,
	}.Code()
	if err == nil {
		t.Fatal("no mistake")
	}
	for _, want := range []string{
		`allow: "x"`, `"203.0.113.0/33"`, `"203.0.113.04"`, `"203.0.113.1/24" has bits set`, `block-country: "se"`, `"');//"`,
		`path: "//x"`, `cookie: "a b"`, `secret: "a'b"`, "risk: 101",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %s in\n%v", want, err)
		}
	}
}

func TestSize(t *testing.T) {
	nets := func(n int) (all []string) {
		for i := range n {
			all = append(all, fmt.Sprintf("198.%d.%d.0/24", 2*i>>8, 2*i&255)) // none beside another
		}
		return all
	}
	_, err := Rules{Block: nets(2000)}.Code()
	if err == nil || !strings.Contains(err.Error(), "and CloudFront takes 10240") {
		t.Errorf("%v", err)
	}
	for _, c := range []struct {
		rules Rules
	}{
		{Rules{Block: nets(900)}},
		{Rules{Block: nets(700), Challenge: []string{"0.0.0.0/0", "::/0"}}},
	} {
		code, err := c.rules.Code()
		if err != nil || len(code) > Most {
			t.Errorf("%d bytes: %v", len(code), err)
		}
	}
	// What touches is one network.
	if code, err := (Rules{Block: []string{"198.51.100.0/25", "198.51.100.128/25", "198.51.101.0/24", "198.51.100.7", "203.0.113.0-203.0.113.2"}}).Code(); err != nil || !strings.Contains(code, "has('4c6336o 4cb00710m 4cb007102'") {
		t.Errorf("%v\n%s", err, code)
	}
}

// TestWord: the letters of a last digit are all told apart.
func TestWord(t *testing.T) {
	for _, c := range []struct {
		last byte
		bits int
		want string
	}{
		{0x00, 24, "4cb0071"},
		{0x70, 28, "4cb00717"},
		{0x00, 25, "4cb0071g"},
		{0x80, 25, "4cb0071h"},
		{0x00, 26, "4cb0071i"},
		{0xc0, 26, "4cb0071l"},
		{0x00, 27, "4cb0071m"},
		{0xe0, 27, "4cb0071t"},
		{0x42, 32, "4cb007142"},
		{0x00, 0, "4"},
	} {
		if got := word([]byte{0xcb, 0, 0x71, c.last}, c.bits); got != c.want {
			t.Errorf("%x/%d: %s, want %s", c.last, c.bits, got, c.want)
		}
	}
}
