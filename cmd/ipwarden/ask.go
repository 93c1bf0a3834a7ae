package main

import (
	"bufio"
	"fmt"
	"io"
	"iter"
	"net/netip"
	"strings"

	"github.com/ipwarden/ipwarden"
)

// question is one argument: an address, or a network.
type question struct {
	text    string
	addr    netip.Addr   // as asked, not canonical
	network netip.Prefix // valid when a network was asked for
	err     error        // what is wrong with the text
}

// maxLine bounds a line of standard input: an address needs far less.
const maxLine = 4096

// questions yields the arguments, and the lines of stdin where one is "-".
// flush is called whenever stdin would make the reader wait.
func questions(args []string, stdin io.Reader, flush func()) iter.Seq2[question, error] {
	return func(yield func(question, error) bool) {
		for _, a := range args {
			if a != "-" {
				if !yield(ask(a), nil) {
					return
				}
				continue
			}
			r := bufio.NewReaderSize(stdin, 64<<10)
			for line, err := range lines(r, flush) {
				if err != nil {
					yield(question{}, err)
					return
				}
				if !yield(ask(line), nil) {
					return
				}
			}
		}
	}
}

// lines yields the first word of each line that is not empty and no comment.
func lines(r *bufio.Reader, flush func()) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for {
			if r.Buffered() == 0 {
				flush()
			}
			line, err := r.ReadSlice('\n')
			for err == bufio.ErrBufferFull { // far too long: the rest is not kept
				line = line[: maxLine+1 : maxLine+1]
				text := string(line)
				_, err = r.ReadSlice('\n')
				line = []byte(text)
			}
			word := strings.TrimSpace(string(line[:min(len(line), maxLine)]))
			if word != "" && word[0] != '#' && !yield(word, nil) {
				return
			}
			if err == io.EOF {
				return
			}
			if err != nil {
				yield("", fmt.Errorf("standard input: %w", err))
				return
			}
		}
	}
}

// ask reads one argument.
func ask(text string) question {
	q := question{text: text}
	if strings.Contains(text, "/") {
		p, err := netip.ParsePrefix(text)
		switch {
		case err != nil:
			q.err = fmt.Errorf("%q is no network; write 203.0.113.0/24 or 2001:db8::/32", clip(text))
		case p.Addr().Is4In6():
			q.err = fmt.Errorf("%q is IPv4 inside IPv6; write the IPv4 network", clip(text))
		case p != p.Masked():
			q.err = fmt.Errorf("%q has bits set beyond its prefix; the network is %s", clip(text), p.Masked())
		default:
			q.network = p
		}
		return q
	}
	addr, err := ipwarden.ParseAddr(text)
	if err != nil {
		q.err = fmt.Errorf("%q %w; write 8.8.8.8 or 2001:4860:4860::8888", clip(text), err)
		return q
	}
	q.addr = addr
	return q
}

func clip(s string) string {
	const most = 80
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}
