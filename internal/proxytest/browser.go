package proxytest

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"
)

// A Browser is a real one, driven over its debugging protocol.
type Browser struct {
	t       *testing.T
	in      io.Writer
	session string

	mu      sync.Mutex
	next    int                  // guarded by mu
	waiting map[int]chan<- reply // guarded by mu
	said    []string             // guarded by mu: what it complained of
	gone    chan struct{}        // closed when it has ended
}

// A reply is what a browser says to a call: one of the two.
type reply struct{ result, wrong json.RawMessage }

// browserPatience bounds each step: a machine may be busy.
const browserPatience = 60 * time.Second

// NewBrowser starts Chromium with one empty page, or skips the test where there is
// none. It ends with the test.
func NewBrowser(t *testing.T) *Browser {
	t.Helper()
	chromium := Need(t, "chromium", "chromium")
	// Its helpers may still write into it when it has been killed.
	profile, err := os.MkdirTemp("", "browser")
	if err != nil {
		t.Fatal(err)
	}
	theirs, in, err1 := os.Pipe()
	out, theirs2, err2 := os.Pipe()
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	cmd := exec.Command(chromium, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
		"--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--user-data-dir="+profile, "--remote-debugging-pipe", "about:blank")
	cmd.ExtraFiles = []*os.File{theirs, theirs2} // 3 and 4
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	theirs.Close()
	theirs2.Close()
	b := &Browser{t: t, in: in, waiting: map[int]chan<- reply{}, gone: make(chan struct{})}
	go b.read(out)
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		in.Close()
		<-b.gone
		out.Close()
		os.RemoveAll(profile)
	})
	var target struct{ TargetID string }
	b.call("Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var attached struct{ SessionID string }
	b.call("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached)
	b.session = attached.SessionID
	for _, domain := range []string{"Page", "Log", "Runtime"} {
		b.call(domain+".enable", nil, nil)
	}
	return b
}

func (b *Browser) read(out io.Reader) {
	defer close(b.gone)
	r := bufio.NewReaderSize(out, 1<<20)
	for {
		text, err := r.ReadBytes(0)
		if err != nil {
			return
		}
		var m struct {
			ID            int
			Method        string
			Result, Error json.RawMessage
			Params        struct {
				Entry            struct{ Level, Text, URL string }
				ExceptionDetails *struct{ Text string }
			}
		}
		if json.Unmarshal(text[:len(text)-1], &m) != nil {
			continue
		}
		b.mu.Lock()
		if m.Method == "Log.entryAdded" && m.Params.Entry.Level == "error" {
			b.said = append(b.said, m.Params.Entry.Text+" "+m.Params.Entry.URL)
		}
		if c := b.waiting[m.ID]; c != nil && m.ID > 0 {
			delete(b.waiting, m.ID)
			c <- reply{m.Result, m.Error}
		}
		b.mu.Unlock()
	}
}

// call asks the browser for something.
func (b *Browser) call(method string, params map[string]any, result any) {
	b.t.Helper()
	if wrong := b.try(method, params, result); wrong != "" {
		b.t.Fatalf("%s: %s %v", method, wrong, b.Complaints())
	}
}

// try asks the browser for something, and returns what it says that is wrong with it.
func (b *Browser) try(method string, params map[string]any, result any) (wrong string) {
	b.t.Helper()
	if params == nil {
		params = map[string]any{}
	}
	c := make(chan reply, 1)
	b.mu.Lock()
	b.next++
	m := map[string]any{"id": b.next, "method": method, "params": params}
	b.waiting[b.next] = c
	b.mu.Unlock()
	if b.session != "" {
		m["sessionId"] = b.session
	}
	text, err := json.Marshal(m)
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := b.in.Write(append(text, 0)); err != nil {
		b.t.Fatalf("the browser is gone: %v", err)
	}
	timeout := time.NewTimer(browserPatience)
	defer timeout.Stop()
	select {
	case got := <-c:
		if got.wrong != nil {
			return string(got.wrong)
		}
		if result != nil {
			if err := json.Unmarshal(got.result, result); err != nil {
				b.t.Fatalf("%s: %v", method, err)
			}
		}
	case <-b.gone:
		b.t.Fatalf("%s: the browser has ended", method)
	case <-timeout.C:
		b.t.Fatalf("%s: the browser does not answer", method)
	}
	return ""
}

// Complaints are the errors of its console, such as what a policy forbids.
func (b *Browser) Complaints() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string{}, b.said...)
}

// Go opens a page.
func (b *Browser) Go(url string) {
	b.t.Helper()
	b.call("Page.navigate", map[string]any{"url": url}, nil)
}

// Eval is what an expression gives, as text; "" also while a page is loading.
func (b *Browser) Eval(js string) string {
	b.t.Helper()
	var r struct{ Result struct{ Value any } }
	// A page that goes away meanwhile is an error of the browser's: it is loading.
	wrong := b.try("Runtime.evaluate", map[string]any{"expression": js, "returnByValue": true}, &r)
	if wrong != "" || r.Result.Value == nil {
		return ""
	}
	return fmt.Sprint(r.Result.Value)
}

// Wait waits until a page is loaded whole and has a text, which the one before it had
// not.
func (b *Browser) Wait(text string) {
	b.t.Helper()
	b.WaitFor(fmt.Sprintf(`document.body.innerText.includes(%q)`, text))
}

// WaitFor waits until a page is loaded whole and an expression is true.
func (b *Browser) WaitFor(js string) {
	b.t.Helper()
	deadline := time.NewTimer(browserPatience)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for b.Eval(`document.readyState === "complete" && !!document.body && !!(`+js+`)`) != "true" {
		select {
		case <-tick.C:
		case <-deadline.C:
			b.t.Fatalf("it is not so that %s at %s:\n%s\n%v", js, b.Eval("location.href"), b.Eval("document.body.innerText"), b.Complaints())
		}
	}
}

// Type types into what has the focus.
func (b *Browser) Type(text string) {
	b.t.Helper()
	b.call("Input.insertText", map[string]any{"text": text}, nil)
}

// Key presses a key: Tab, Enter, Space.
func (b *Browser) Key(name string) {
	b.t.Helper()
	k := map[string]map[string]any{
		"Tab":   {"key": "Tab", "code": "Tab", "windowsVirtualKeyCode": 9},
		"Enter": {"key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13, "text": "\r"},
		"Space": {"key": " ", "code": "Space", "windowsVirtualKeyCode": 32, "text": " "},
	}[name]
	for _, what := range []string{"keyDown", "keyUp"} {
		params := map[string]any{"type": what}
		for n, v := range k {
			if what == "keyDown" || n != "text" {
				params[n] = v
			}
		}
		b.call("Input.dispatchKeyEvent", params, nil)
	}
}

// TabTo presses Tab until the focus is on what an expression of the focused element e
// says, such as `e.id === "email"`.
func (b *Browser) TabTo(js string) {
	b.t.Helper()
	for range 80 {
		if b.Eval(`(e => !!e && (`+js+`))(document.activeElement)`) == "true" {
			return
		}
		b.Key("Tab")
	}
	b.t.Fatalf("Tab does not lead to %s at %s; %s has the focus", js, b.Eval("location.href"), b.Eval("document.activeElement.outerHTML"))
}

// Press clicks the first element of a selector.
func (b *Browser) Press(selector string) {
	b.t.Helper()
	if b.Eval(fmt.Sprintf(`(e => { if (e) e.click(); return !!e })(document.querySelector(%q))`, selector)) != "true" {
		b.t.Fatalf("there is no %s at %s", selector, b.Eval("location.href"))
	}
}

// Fill types into the field of a selector.
func (b *Browser) Fill(selector, text string) {
	b.t.Helper()
	if b.Eval(fmt.Sprintf(`(e => { if (e) { e.focus(); e.value = "" } return !!e })(document.querySelector(%q))`, selector)) != "true" {
		b.t.Fatalf("there is no %s at %s", selector, b.Eval("location.href"))
	}
	b.Type(text)
}

// Scripts says whether pages may run scripts.
func (b *Browser) Scripts(on bool) {
	b.t.Helper()
	b.call("Emulation.setScriptExecutionDisabled", map[string]any{"value": !on}, nil)
}

// Look sets the width of the page, and whether it is dark.
func (b *Browser) Look(width, height int, dark bool) {
	b.t.Helper()
	b.call("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}, nil)
	scheme := "light"
	if dark {
		scheme = "dark"
	}
	b.call("Emulation.setEmulatedMedia", map[string]any{"features": []any{map[string]any{"name": "prefers-color-scheme", "value": scheme}}}, nil)
}

// Shot is a picture of the whole page, PNG.
func (b *Browser) Shot() []byte {
	b.t.Helper()
	var r struct{ Data string }
	b.call("Page.captureScreenshot", map[string]any{"captureBeyondViewport": true}, &r)
	image, err := base64.StdEncoding.DecodeString(r.Data)
	if err != nil {
		b.t.Fatal(err)
	}
	return image
}
