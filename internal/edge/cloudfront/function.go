// Package cloudfront writes the code of CloudFront Functions: 10 KB of JavaScript, a
// millisecond, no network. No engine fits in there; lists of networks and countries do,
// and the check of a clearance.
package cloudfront

import (
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/ipwarden/ipwarden/internal/cidr"
)

// Most is what CloudFront takes, in bytes.
const Most = 10240

// Rules are what a function does, from first to last.
type Rules struct {
	// Allow, Block and Challenge are networks, addresses and ranges: those that go on
	// whatever follows, those that are refused, those that need a clearance.
	Allow, Block, Challenge []string
	// Countries that are refused, in two letters. The function reads them from
	// CloudFront-Viewer-Country.
	Countries []string
	// Path of the challenge's page, and Cookie, the name of the clearance. Default
	// "/.ipwarden/challenge" and "ipwarden_clearance".
	Path, Cookie string
	// Secret is the name of the key in the function's KeyValueStore: 64 hexadecimal
	// digits. Default "ipwarden_challenge_key".
	Secret string
	// Risk is what tickets are made for and clearances must reach, 0 to 100.
	Risk int
}

// The function's own code, in the words that its runtime has: no classes, no
// destructuring, no arrows.
var (
	//go:embed common.js
	common string
	//go:embed challenge.js
	challenge string

	country = regexp.MustCompile(`^[A-Z]{2}$`)
	page    = regexp.MustCompile(`^/[A-Za-z0-9._-][A-Za-z0-9._/-]*$`)
	cookie  = regexp.MustCompile(`^[A-Za-z0-9._~-]+$`)
	secret  = regexp.MustCompile(`^[A-Za-z0-9._-]+$`)
)

// Code writes a function for viewer requests, of the runtime cloudfront-js-2.0. The
// error joins all mistakes, or says how much too large the code is.
func (r Rules) Code() (string, error) {
	var errs []error
	list := func(name string, texts []string) string {
		var all cidr.Aggregator
		for _, text := range texts {
			at, err := cidr.Parse(text, false)
			if err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", name, err))
				continue
			}
			all.Add(at)
		}
		var words []string
		for p := range all.Prefixes() {
			words = append(words, word(p.Addr().AsSlice(), p.Bits()))
		}
		return strings.Join(words, " ")
	}
	match := func(name string, with *regexp.Regexp, text, example string) {
		if !with.MatchString(text) {
			errs = append(errs, fmt.Errorf("%s: %q is none; an example: %s", name, text, example))
		}
	}
	allow, block, asked := list("allow", r.Allow), list("block", r.Block), list("challenge", r.Challenge)
	for _, c := range r.Countries {
		match("block-country", country, c, "SE")
	}
	path, name, key := or(r.Path, "/.ipwarden/challenge"), or(r.Cookie, "ipwarden_clearance"), or(r.Secret, "ipwarden_challenge_key")
	match("path", page, path, "/.ipwarden/challenge")
	match("cookie", cookie, name, "ipwarden_clearance")
	match("secret", secret, key, "ipwarden_challenge_key")
	if r.Risk < 0 || r.Risk > 100 {
		errs = append(errs, fmt.Errorf("risk: %d is not 0 to 100", r.Risk))
	}
	if len(errs) > 0 {
		return "", errors.Join(errs...)
	}

	var b strings.Builder
	if asked != "" {
		b.WriteString("import cf from 'cloudfront';\nvar crypto=require('crypto'),kvs=cf.kvs();\n")
	}
	b.WriteString(common)
	if asked != "" {
		b.WriteString(challenge)
	}
	b.WriteString("async function handler(event){var q=event.request,h=q.headers,a=bits(event.viewer.ip);strip(h);if(!a)return refuse();\n")
	if allow != "" {
		fmt.Fprintf(&b, "if(!has('%s',a)){\n", allow)
	}
	if block != "" {
		fmt.Fprintf(&b, "if(has('%s',a))return refuse();\n", block)
	}
	if len(r.Countries) > 0 {
		fmt.Fprintf(&b, "var c=h['cloudfront-viewer-country'];if(c&&' %s '.indexOf(' '+c.value+' ')>=0)return refuse();\n", strings.Join(r.Countries, " "))
	}
	if asked != "" {
		risk := strconv.Itoa(r.Risk)
		fmt.Fprintf(&b, "if(q.uri!=='%s'&&has('%s',a)){var k=Buffer.from(await kvs.get('%s'),'hex');if(k.length<32)return refuse();\n", path, asked, key)
		fmt.Fprintf(&b, "var n=net(a),g=check(q.cookies['%s'],k,n,%s);if(g!==1)return send(event,k,n,%s,'%s',g===2)}\n", name, risk, risk, path)
	}
	if allow != "" {
		b.WriteString("}\n")
	}
	b.WriteString("h['x-ipwarden-ip']={value:event.viewer.ip};h['x-ipwarden-verdict']={value:'allow'};return q}\n")
	if n := b.Len(); n > Most {
		return "", fmt.Errorf("the function has %d bytes, %d of them networks, and CloudFront takes %d; name larger networks, or use Lambda@Edge",
			n, len(allow)+len(block)+len(asked), Most)
	}
	return b.String(), nil
}

// word is a network as the function compares it: 4 or 6, and the first digits of the
// address in hexadecimal; of a last digit whose bits do not all count, a letter from g
// on says which.
func word(addr []byte, bits int) string {
	digits := hex.EncodeToString(addr)
	family := "6"
	if len(addr) == 4 {
		family = "4"
	}
	out := family + digits[:bits/4]
	rest := bits % 4
	if rest == 0 {
		return out
	}
	last, _ := strconv.ParseUint(digits[bits/4:bits/4+1], 16, 8) // a hexadecimal digit
	return out + string(rune(101+1<<rest+int(last)>>(4-rest)))
}

func or(text, def string) string {
	if text == "" {
		return def
	}
	return text
}
