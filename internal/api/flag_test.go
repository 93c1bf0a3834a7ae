package api

import (
	"encoding/xml"
	"io"
	"net/http"
	"strings"
	"testing"
)

// Every flag is an image, and nothing that a browser would run or fetch.
func TestFlags(t *testing.T) {
	if n := len(flagImages()); n < 240 {
		t.Errorf("%d flags", n)
	}
	for code, image := range flagImages() {
		d := xml.NewDecoder(strings.NewReader(image))
		for first := true; ; first = false {
			token, err := d.Token()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Errorf("%s: %v", code, err)
				break
			}
			e, ok := token.(xml.StartElement)
			if !ok {
				continue
			}
			if first && e.Name.Local != "svg" || e.Name.Local == "script" || e.Name.Local == "image" {
				t.Errorf("%s has <%s>", code, e.Name.Local)
			}
			for _, a := range e.Attr {
				if strings.HasPrefix(a.Name.Local, "on") || a.Name.Local == "href" {
					t.Errorf("%s has the attribute %s", code, a.Name.Local)
				}
			}
		}
	}
	a := newAPI(t, nil)
	for target, status := range map[string]int{
		"/flags/se.svg": 200, "/flags/SE.svg": 404, "/flags/se": 404, "/flags/xx.svg": 404, "/flags/": 404, "/flags/se.svg?x=1": 400,
	} {
		if w := a.answer(t, http.MethodGet, target); w.Code != status {
			t.Errorf("%s: %d, want %d", target, w.Code, status)
		}
	}
}
