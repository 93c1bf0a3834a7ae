package api

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"testing"
)

func (a *API) post(t testing.TB, kind, target, body string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest("POST", "/", strings.NewReader(body))
	r.RequestURI = target
	r.Header.Set("Content-Type", kind)
	w := httptest.NewRecorder()
	a.Handler().ServeHTTP(w, r)
	return w
}

// Every item has its answer, in order, over the edges of batches; and it is the
// answer that a single look-up gives.
func TestBulkAgreesWithLookup(t *testing.T) {
	a := newAPI(t, nil)
	asked := []string{"8.8.8.8", "2001:4860:4860::8888", "185.220.101.4", "198.51.100.20", "10.0.0.1", "126.1.2.3"}
	for _, n := range []int{1, 63, 64, 65, 128, 200} {
		var items []string
		for i := range n {
			items = append(items, asked[i%len(asked)])
		}
		body, _ := json.Marshal(items)
		w := a.post(t, "application/json", "/v1/ip", string(body))
		var answers []map[string]any
		if err := json.Unmarshal(w.Body.Bytes(), &answers); err != nil || len(answers) != n {
			t.Fatalf("%d items: %d answers, %v", n, len(answers), err)
		}
		for i, got := range answers {
			if got["index"] != float64(i) || got["query"] != items[i] {
				t.Fatalf("%d items: answer %d is %v of %v", n, i, got["index"], got["query"])
			}
			delete(got, "index")
			delete(got, "query")
			var want map[string]any
			if err := json.Unmarshal(a.answer(t, "GET", "/v1/ip/"+items[i]).Body.Bytes(), &want); err != nil {
				t.Fatal(err)
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Fatalf("item %d, %s:\n%v\nalone:\n%v", i, items[i], got, want)
			}
		}
	}
}

func TestBulkBounds(t *testing.T) {
	a := newAPI(t, nil)
	full := "[" + strings.Repeat(`"8.8.8.8",`, maxBulkItems-1) + `"8.8.8.8"]`
	for _, tt := range []struct {
		name, target, body string
		want               int
	}{
		{"as many as there may be", "/v1/ip?fields=ip", full, 200},
		{"one more", "/v1/ip?fields=ip", "[1," + full[1:], 413},
		{"with the evidence", "/v1/ip?fields=ip&explain=1", full, 413},
		{"as large as it may be", "/v1/ip?fields=ip", `["8.8.8.8"]` + strings.Repeat(" ", maxBulkBody-11), 200},
		{"one byte more", "/v1/ip?fields=ip", `["8.8.8.8"]` + strings.Repeat(" ", maxBulkBody-10), 413},
	} {
		w := a.post(t, "application/json", tt.target, tt.body)
		if w.Code != tt.want || w.Code == 413 && !strings.Contains(w.Body.String(), "application/x-ndjson") {
			t.Errorf("%s: %d %s", tt.name, w.Code, short(w.Body.String()))
		}
	}
}

// Newline-delimited JSON is answered while the question still arrives, in
// constant memory, and without a cap on its length.
func TestLinesStream(t *testing.T) {
	s, _ := serve(t, ServerConfig{})
	pr, pw := io.Pipe()
	req, err := http.NewRequest("POST", "http://"+s.Addr().String()+"/v1/ip?fields=ip", pr)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/ndjson")
	go func() { io.WriteString(pw, "\"8.8.8.8\"\n\"1.1.") }()
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	answers := bufio.NewScanner(res.Body)
	expect := func(want string) {
		t.Helper()
		if !answers.Scan() || answers.Text() != want {
			t.Fatalf("got %q %v, want %q", answers.Text(), answers.Err(), want)
		}
	}
	expect(`{"index":0,"query":"8.8.8.8","ip":"8.8.8.8"}`) // though half a line more has arrived
	io.WriteString(pw, "1.1\"\n")
	expect(`{"index":1,"query":"1.1.1.1","ip":"1.1.1.1"}`)
	const many = 30_000 // far more than an array may have
	go func() {
		w := bufio.NewWriter(pw)
		for i := range many {
			fmt.Fprintf(w, "\"10.%d.%d.%d\"\r\n", i>>16&255, i>>8&255, i&255)
		}
		w.Flush()
		pw.Close()
	}()
	for i := range many {
		want := "10." + strconv.Itoa(i>>16&255) + "." + strconv.Itoa(i>>8&255) + "." + strconv.Itoa(i&255)
		expect(`{"index":` + strconv.Itoa(i+2) + `,"query":"` + want + `","ip":"` + want + `"}`)
	}
	if answers.Scan() || answers.Err() != nil {
		t.Errorf("after the end: %q %v", answers.Text(), answers.Err())
	}
}

// A stream whose client goes away, or breaks its framing, ends without its last
// chunk: whoever reads it can tell.
func TestLinesBroken(t *testing.T) {
	s, _ := serve(t, ServerConfig{})
	c, br := dial(t, s.Addr())
	fmt.Fprint(c, "POST /v1/ip?fields=ip HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n"+
		"a\r\n\"8.8.8.8\"\n\r\nnonsense\r\n")
	if _, err := tryRead(br); err == nil {
		t.Error("a broken stream was answered as if it were whole")
	}
	_ = c.(*net.TCPConn).SetLinger(0)
}

func TestLongLines(t *testing.T) {
	a := newAPI(t, nil)
	body := `"8.8.8.8"` + "\n" + `"` + strings.Repeat("é", 100_000) + "\"\n" + strings.Repeat(" ", 2000) + "\n" + `"1.1.1.1"`
	w := a.post(t, "application/x-ndjson", "/v1/ip?fields=ip", body)
	var got []string
	for line := range bytes.Lines(w.Body.Bytes()) {
		var v struct {
			Index int
			Query string
			IP    string
			Error struct{ Type, Detail string }
		}
		if err := json.Unmarshal(line, &v); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if len(v.Query) > maxItem+8 || len(v.Error.Detail) > 600 {
			t.Errorf("%d: the answer repeats %d bytes", v.Index, len(v.Query))
		}
		got = append(got, fmt.Sprint(v.Index, v.IP, strings.TrimPrefix(v.Error.Type, problemBase)))
	}
	if s := strings.Join(got, " | "); s != "0 8.8.8.8  | 1  bad-item | 2 1.1.1.1 " && s != "08.8.8.8 | 1bad-item | 21.1.1.1" {
		t.Errorf("got %s", s)
	}
}

// The scanner agrees with encoding/json on what is an array of values, and on
// the strings in it.
func FuzzArrayScanner(f *testing.F) {
	for _, s := range []string{
		`["8.8.8.8","1.1.1.1"]`, `["127.0.0.1","8.8.8.8", "255.255.255.255","1.02.3.4","1.2.3.256","1.2.3.4" ,"1.2.3.4.5","1.1.1.1"]`, `[]`, ` [ "a" , 1.5e-3, {"a":[true,null]}, [[]] ]`, `["\u00e9\ud83d\ude00\ud800\n"]`, `["a",]`, `[01]`, `[-]`, `["`, `[{"a"}]`, "[\"\xff\"]",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		var s arrayScanner
		var got []element
		for ok := s.open(src); ok; {
			var e element
			if e, ok = s.next(); ok {
				got = append(got, e)
			}
		}
		checkFill(t, src, got, s.err)
		var want []json.RawMessage
		err := json.Unmarshal(src, &want)
		if string(bytes.TrimSpace(src)) == "null" {
			err = io.EOF // an array to encoding/json, not to us
		}
		if (s.err == "") != (err == nil) {
			if strings.Contains(s.err, "too deeply") {
				return
			}
			t.Fatalf("%q: %q, encoding/json says %v", src, s.err, err)
		}
		if err != nil {
			return
		}
		if len(got) != len(want) {
			t.Fatalf("%q: %d items, encoding/json has %d", src, len(got), len(want))
		}
		for i, w := range want {
			var text string
			isText := len(w) > 0 && w[0] == '"'
			if isText != got[i].isText {
				t.Fatalf("%q: item %d, %q", src, i, got[i].text)
			}
			if isText && json.Unmarshal(w, &text) == nil && strings.ToValidUTF8(got[i].text, "\ufffd") != strings.ToValidUTF8(text, "\ufffd") &&
				!bytes.Contains(w, []byte{0xff}) && jsonValid(w) {
				t.Fatalf("%q: item %d is %q, encoding/json has %q", src, i, got[i].text, text)
			}
		}
	})
}

// jsonValid reports whether a string's source is UTF-8; of other bytes each
// reader makes what it likes.
func jsonValid(w []byte) bool { return bytes.Equal(bytes.ToValidUTF8(w, nil), w) }

// checkFill compares fill, in batches of any size, with what next has read.
func checkFill(t *testing.T, src []byte, want []element, wantErr string) {
	t.Helper()
	for _, size := range []int{1, 3, batchSize} {
		var s arrayScanner
		var got []element
		for more := s.open(src); more; {
			dst := make([]element, size)
			var n int
			n, more = s.fill(dst)
			got = append(got, dst[:n]...)
		}
		if s.err != wantErr || len(got) != len(want) {
			t.Fatalf("%q in batches of %d: %d items and %q, one by one %d and %q", src, size, len(got), s.err, len(want), wantErr)
		}
		for i, e := range got {
			if e.text != want[i].text || e.isText != want[i].isText {
				t.Fatalf("%q in batches of %d: item %d is %+v, alone %+v", src, size, i, e, want[i])
			}
			if e.dotted && ipAt(e.addr).String() != e.text {
				t.Fatalf("%q: item %d is read as %v", src, i, ipAt(e.addr))
			}
		}
	}
}

func ipAt(u uint32) netip.Addr {
	return netip.AddrFrom4([4]byte{byte(u >> 24), byte(u >> 16), byte(u >> 8), byte(u)})
}

// Of strings, readDotted reads those that are the canonical text of an IPv4
// address, and no others.
func TestReadDotted(t *testing.T) {
	check := func(text string) {
		t.Helper()
		src := []byte(`[""` + "\"" + text + `",""""""""""""""""""`)
		addr, n := readDotted((*[dottedRoom]byte)(src))
		want, err := netip.ParseAddr(text)
		if err != nil || !want.Is4() {
			if n != 0 {
				t.Fatalf("%q is read as %v", text, ipAt(addr))
			}
			return
		}
		if n != len(text) || ipAt(addr) != want {
			t.Fatalf("%q is read as %v, %d bytes", text, ipAt(addr), n)
		}
	}
	rng := rand.New(rand.NewPCG(1, 1))
	parts := func(octet func() string) string {
		return octet() + "." + octet() + "." + octet() + "." + octet()
	}
	for i := range 1000 { // every number of three digits in every place, leading zeros too
		for place := range 4 {
			s := []string{"1", "2", "3", "4"}
			for _, form := range []string{"%d", "%02d", "%03d"} {
				s[place] = fmt.Sprintf(form, i)
				check(strings.Join(s, "."))
			}
		}
	}
	for range 100_000 {
		good := parts(func() string { return strconv.Itoa(rng.IntN(256)) })
		check(good)
		bad := []byte(good) // one byte other, one more, one less
		at := rng.IntN(len(bad))
		bad[at] = byte(rng.IntN(256))
		if bad[at] != '"' && bad[at] != '\\' { // the string would be another
			check(string(bad))
		}
		check(good[:at] + good[at+1:])
		check(good[:at] + string("0123456789.:x"[rng.IntN(13)]) + good[at:])
	}
	for _, s := range []string{"", ".", "...", "1.2.3", "1.2.3.4.5", "1.2.3.4.", ".1.2.3.4", "1..2.3", "1111.2.3.4", "1.2.3.4444", "::", "1.2.3.4%a", "255.255.255.255", "0.0.0.0", "1.2.3.\xb4"} {
		check(s)
	}
}
