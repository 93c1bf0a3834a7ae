package disposable

import (
	"slices"
	"strings"
	"testing"
)

func TestHas(t *testing.T) {
	lines := strings.Split(strings.TrimSuffix(domains, "\n"), "\n")
	if len(lines) < 5000 || !slices.IsSorted(lines) || strings.ToLower(domains) != domains {
		t.Fatalf("the list has %d lines, sorted %v", len(lines), slices.IsSorted(lines))
	}
	for _, d := range lines {
		if !Has(d) {
			t.Fatalf("%s is on the list and not found", d)
		}
		if near := d + "0"; !slices.Contains(lines, near) && List(domains).exact(near) {
			t.Fatalf("%s is found", near)
		}
	}
	for domain, want := range map[string]bool{
		"mailinator.com": true, "Mailinator.COM.": true, "a.b.mailinator.com": true, "mailinator.com.example": false,
		"example.com": false, "gmail.com": false, "com": false, "": false, ".": false, "zzzzzzzz.zz": false, "0": false,
	} {
		if Has(domain) != want {
			t.Errorf("%q: %v; want %v", domain, !want, want)
		}
	}
}

func TestRead(t *testing.T) {
	l, err := Read(strings.NewReader("# mine\nb.example\n\nA.example # too\nb.example\n"), "list")
	if err != nil || l != "a.example\nb.example\n" || !l.Has("x.a.example") || l.Has("c.example") {
		t.Errorf("%q, %v", l, err)
	}
	if _, err := Read(strings.NewReader("ok.example\nuser@x.example\nnodot\n"), "list"); err == nil || !strings.Contains(err.Error(), "list:2:") || !strings.Contains(err.Error(), "list:3:") {
		t.Errorf("got %v; want both mistakes", err)
	}
	if l, err := Read(strings.NewReader("#\n"), "list"); err != nil || l.Has("a.example") {
		t.Errorf("an empty list: %q, %v", l, err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add("a.example\nb.example #\n", "a.example")
	f.Add("", "")
	f.Add("\x00\n-x.y\n", "..")
	f.Fuzz(func(t *testing.T, text, domain string) {
		l, err := Read(strings.NewReader(text), "list")
		if err != nil {
			return
		}
		lines := strings.Split(strings.TrimSuffix(string(l), "\n"), "\n")
		if got, want := l.exact(domain), domain != "" && slices.Contains(lines, domain); got != want {
			t.Errorf("%q has %q: %v; want %v", l, domain, got, want)
		}
		l.Has(domain)
	})
}
