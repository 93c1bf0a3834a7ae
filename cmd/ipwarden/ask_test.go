package main

import (
	"bufio"
	"bytes"
	"errors"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/ipwarden/ipwarden"
)

func TestQuestions(t *testing.T) {
	long := strings.Repeat("9", 200_000)
	stdin := "\n# comment\n 8.8.8.8 \r\n" + long + "\n::1\n10.0.0.0/33\nlast"
	var got []string
	flushed := 0
	for q, err := range questions([]string{"1.1.1.1", "-", "2.2.2.0/24"}, strings.NewReader(stdin), func() { flushed++ }) {
		if err != nil {
			t.Fatal(err)
		}
		text := clip(q.text)
		if q.err != nil {
			text += " !"
		}
		got = append(got, text)
	}
	want := []string{"1.1.1.1", "8.8.8.8", clip(long) + " !", "::1", "10.0.0.0/33 !", "last !", "2.2.2.0/24"}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if flushed == 0 {
		t.Error("nothing was flushed before the reader had to wait")
	}
}

func TestQuestionsBrokenInput(t *testing.T) {
	broken := errors.New("the disk is gone")
	in := bufio.NewReader(iotest.TimeoutReader(iotest.ErrReader(broken)))
	for _, err := range questions([]string{"-"}, in, func() {}) {
		if !errors.Is(err, broken) {
			t.Errorf("got %v, want %v", err, broken)
		}
	}
}

// Whatever stands on standard input is answered or reported, line by line.
func FuzzQuestions(f *testing.F) {
	f.Add([]byte("8.8.8.8\n::1\n10.0.0.0/8\nlocalhost\n"))
	f.Add([]byte("fe80::1%eth0\r\n[::1]:80\n1.2.3.4:5\n0x7f.1\n\x00\xff\n"))
	f.Add(bytes.Repeat([]byte("a"), 70_000))
	f.Fuzz(func(t *testing.T, in []byte) {
		n := 0
		for q, err := range questions([]string{"-"}, bytes.NewReader(in), func() {}) {
			if err != nil {
				t.Fatal(err)
			}
			n++
			if len(q.text) > maxLine {
				t.Fatalf("a line of %d bytes was kept", len(q.text))
			}
			valid := q.addr.IsValid() || q.network.IsValid()
			if valid == (q.err != nil) {
				t.Fatalf("%q is neither answered nor reported: %+v", q.text, q)
			}
			if q.addr.IsValid() {
				if a, _ := ipwarden.Canonical(q.addr); a.Zone() != "" || a.Is4In6() {
					t.Fatalf("%v is not canonical", a)
				}
			}
		}
		if most := bytes.Count(in, []byte("\n")) + 1; n > most {
			t.Fatalf("%d questions on %d lines", n, most)
		}
	})
}
