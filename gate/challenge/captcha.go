package challenge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// CaptchaConfig is an account with a CAPTCHA that is checked by the siteverify
// contract: Turnstile, or by other URLs hCaptcha and their like.
type CaptchaConfig struct {
	// SiteKey is public and goes into the page, Secret to the operator alone. Required.
	SiteKey, Secret string
	// VerifyURL is asked whether a solution is good. Default Turnstile's:
	// https://challenges.cloudflare.com/turnstile/v0/siteverify. hCaptcha's is
	// https://api.hcaptcha.com/siteverify.
	VerifyURL string
	// ScriptURL is loaded by the page. Default by the host of VerifyURL.
	ScriptURL string
	// Class of the element that the script fills, and Field of the form that it
	// adds. Default by the host of VerifyURL: "cf-turnstile" and
	// "cf-turnstile-response", or "h-captcha" and "h-captcha-response".
	Class, Field string
	// Sources that the script loads from besides its own site. Default by the host.
	Sources []string
	// Hostname is what the operator must say the solution was made on. Default: any.
	Hostname string
	// Client asks. Default: one with Timeout and no redirects.
	Client *http.Client
	// Timeout of a check. Default 4 s.
	Timeout time.Duration
	// Concurrent checks; more are busy. Default 32.
	Concurrent int
	// Log gets a line a minute at most, when the operator cannot be asked.
	// Default: none.
	Log *slog.Logger
	// Now is the clock. Default time.Now.
	Now func() time.Time
}

// A Captcha is a [Kind].
type Captcha struct {
	cfg   CaptchaConfig
	slots chan struct{}

	mu     sync.Mutex
	asked  time.Time // guarded by mu; when the operator was last asked
	down   bool      // guarded by mu; and did not answer
	logged time.Time // guarded by mu
}

var _ Kind = (*Captcha)(nil)

// NewCaptcha checks the account's data; the error joins all mistakes.
func NewCaptcha(cfg CaptchaConfig) (*Captcha, error) {
	var errs []error
	if cfg.SiteKey == "" || cfg.Secret == "" {
		errs = append(errs, errors.New("the SiteKey and the Secret are required: the operator gives both with the account"))
	}
	if cfg.VerifyURL == "" {
		cfg.VerifyURL = "https://challenges.cloudflare.com/turnstile/v0/siteverify"
	}
	u, err := url.Parse(cfg.VerifyURL)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		errs = append(errs, fmt.Errorf("VerifyURL %q is no URL, such as https://api.hcaptcha.com/siteverify", cfg.VerifyURL))
		u = new(url.URL)
	}
	if strings.HasSuffix(u.Hostname(), "hcaptcha.com") {
		set(&cfg.ScriptURL, "https://js.hcaptcha.com/1/api.js")
		set(&cfg.Class, "h-captcha")
		set(&cfg.Field, "h-captcha-response")
		if cfg.Sources == nil {
			cfg.Sources = []string{"https://hcaptcha.com", "https://*.hcaptcha.com"}
		}
	}
	set(&cfg.ScriptURL, "https://challenges.cloudflare.com/turnstile/v0/api.js")
	set(&cfg.Class, "cf-turnstile")
	set(&cfg.Field, "cf-turnstile-response")
	script, err := url.Parse(cfg.ScriptURL)
	if err != nil || script.Host == "" {
		errs = append(errs, fmt.Errorf("ScriptURL %q is no URL, such as https://js.hcaptcha.com/1/api.js", cfg.ScriptURL))
	} else {
		cfg.Sources = append([]string{script.Scheme + "://" + script.Host}, cfg.Sources...)
	}
	for _, s := range cfg.Sources {
		if strings.ContainsAny(s, " ;,'\"\r\n") {
			errs = append(errs, fmt.Errorf("source %q is no site, such as https://hcaptcha.com", s))
		}
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 4 * time.Second
	}
	if cfg.Concurrent == 0 {
		cfg.Concurrent = 32
	}
	if cfg.Timeout < 0 || cfg.Concurrent < 0 {
		errs = append(errs, errors.New("the Timeout and Concurrent are more than 0, such as 4s and 32"))
	}
	if cfg.Client == nil {
		cfg.Client = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if len(errs) > 0 {
		return nil, fmt.Errorf("challenge: captcha: %w", errors.Join(errs...))
	}
	return &Captcha{cfg: cfg, slots: make(chan struct{}, cfg.Concurrent)}, nil
}

func set(s *string, value string) {
	if *s == "" {
		*s = value
	}
}

// Name is "captcha".
func (*Captcha) Name() string { return "captcha" }

// Widget is what the operator's script fills, and a button for when it cannot.
func (c *Captcha) Widget(_ *Ticket, w *Texts) Widget {
	e := html.EscapeString
	return Widget{
		HTML: `<div class="` + e(c.cfg.Class) + `" data-sitekey="` + e(c.cfg.SiteKey) + `" data-theme="auto"></div><p class="soft">` +
			e(w.Captcha) + `</p><button>` + e(w.Button) + `</button>`,
		Load: []string{c.cfg.ScriptURL}, Sources: c.cfg.Sources,
	}
}

// What is believed of an operator that was just asked, in place of asking it for
// a form without a solution.
const healthLife = 10 * time.Second

// maxVerify bounds what is read of the operator's answer, in bytes.
const maxVerify = 64 << 10

// Verify asks the operator. A form without a solution may come from a browser
// that could not load the widget: it is told that the operator is away only when
// it is so from here too.
func (c *Captcha) Verify(ctx context.Context, t *Ticket, form url.Values, _ time.Time) Result {
	solution := form.Get(c.cfg.Field)
	if len(solution) > 4<<10 || strings.ContainsFunc(solution, strange) {
		return Unsolved // nothing that the client writes may make the operator stumble
	}
	if solution == "" {
		c.mu.Lock()
		known, down := c.cfg.Now().Sub(c.asked) < healthLife && !c.asked.IsZero(), c.down
		c.mu.Unlock()
		if known {
			return health(down)
		}
	}
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	default:
		return Busy
	}
	good, err := c.ask(ctx, solution)
	if ctx.Err() == nil {
		c.note(err)
	}
	switch {
	case err != nil && ctx.Err() != nil:
		return Busy // the client went away: that says nothing of the operator
	case err != nil:
		return Unavailable
	case good:
		return Solved
	}
	return Unsolved
}

// strange reports what solutions do not have: they are base64 of some kind, with
// dots between.
func strange(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune("\"'<>&\\", r) }

func health(down bool) Result {
	if down {
		return Unavailable
	}
	return Unsolved
}

// note remembers whether the operator answered.
func (c *Captcha) note(err error) {
	now := c.cfg.Now()
	c.mu.Lock()
	c.asked, c.down = now, err != nil
	tell := err != nil && c.cfg.Log != nil && now.Sub(c.logged) >= time.Minute
	if tell {
		c.logged = now
	}
	c.mu.Unlock()
	if tell {
		c.cfg.Log.Warn("the CAPTCHA's operator cannot be asked", "url", c.cfg.VerifyURL, "err", err)
	}
}

// ask posts the solution. An error means that it could not be judged.
func (c *Captcha) ask(ctx context.Context, solution string) (good bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	body := url.Values{"secret": {c.cfg.Secret}, "response": {solution}, "sitekey": {c.cfg.SiteKey}}.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.cfg.VerifyURL, strings.NewReader(body))
	if err != nil {
		return false, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := c.cfg.Client.Do(req)
	if err != nil {
		return false, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxVerify))
	if err != nil {
		return false, err
	}
	var answer struct {
		Success  *bool    `json:"success"`
		Hostname string   `json:"hostname"`
		Errors   []string `json:"error-codes"`
	}
	// Turnstile says what was wrong with a status of 400 too.
	if json.Unmarshal(b, &answer) != nil || answer.Success == nil || resp.StatusCode >= 500 {
		return false, fmt.Errorf("status %d, and no answer of the siteverify contract", resp.StatusCode)
	}
	if !*answer.Success {
		for _, code := range answer.Errors {
			switch code {
			case "internal-error", "missing-input-secret", "invalid-input-secret", "sitekey-secret-mismatch":
				return false, fmt.Errorf("it says %q", code) // not the client's fault
			}
		}
		return false, nil
	}
	return c.cfg.Hostname == "" || strings.EqualFold(answer.Hostname, c.cfg.Hostname), nil
}
