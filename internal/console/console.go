package console

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/ipwarden/ipwarden/internal/account"
	"github.com/ipwarden/ipwarden/internal/account/people"
	"github.com/ipwarden/ipwarden/internal/account/peoplehttp"
	"github.com/ipwarden/ipwarden/internal/customer"
	"github.com/ipwarden/ipwarden/internal/usage"
)

// Prefix is where the pages are.
const Prefix = "/account"

// Config of a [Console].
type Config struct {
	// People signs people in. Required.
	People *people.People
	// Accounts has their keys and plans. Required.
	Accounts *account.Service
	// Quota says where an account stands. Required.
	Quota func(customer.AccountID) usage.Quota
	// Rows reads what was counted. Required.
	Rows func(ctx context.Context, q usage.Query, yield func(usage.Row, int64) bool) error
	// Callers says from where most calls of an account came today. Default: it is not
	// shown.
	Callers func(customer.AccountID) []usage.Frequent
	// InForce waits until a revision of the accounts is in force at this server, so that
	// a key works when it is shown. Default: it does not wait.
	InForce func(ctx context.Context, revision int64)
	// URL is where people reach this server, such as https://ip.example. Required.
	URL string
	// Client tells who asks. Default: the peer.
	Client func(*http.Request) netip.Addr
	// Now is time.Now when it is nil.
	Now func() time.Time
	// Log takes what went wrong. Default: slog.Default().
	Log *slog.Logger
}

// A Console answers everything below [Prefix]. It is safe for concurrent use.
type Console struct {
	c       Config
	secure  bool // the pages are reached over TLS
	pages   map[string]*template.Template
	style   []byte
	styleAt string
	handler http.Handler
	readers chan struct{} // who reads usage holds a place in it
}

//go:embed pages
var files embed.FS

// usageReaders is how many read usage at once.
const usageReaders = 4

// New returns a Console. The error names every mistake in c.
func New(c Config) (*Console, error) {
	var errs []error
	if c.People == nil || c.Accounts == nil || c.Quota == nil || c.Rows == nil {
		errs = append(errs, errors.New("each of People, Accounts, Quota and Rows is required"))
	}
	u, err := url.Parse(c.URL)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		errs = append(errs, fmt.Errorf("the URL %q is none of a server; one is https://ip.example", c.URL))
	}
	if len(errs) > 0 {
		return nil, fmt.Errorf("console: %w", errors.Join(errs...))
	}
	c.URL = strings.TrimRight(c.URL, "/")
	if c.Client == nil {
		c.Client = peoplehttp.Peer
	}
	if c.Callers == nil {
		c.Callers = func(customer.AccountID) []usage.Frequent { return nil }
	}
	if c.InForce == nil {
		c.InForce = func(context.Context, int64) {}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	k := &Console{c: c, secure: u.Scheme == "https", pages: map[string]*template.Template{}, readers: make(chan struct{}, usageReaders)}
	if k.style, err = files.ReadFile("pages/style.css"); err != nil {
		return nil, fmt.Errorf("console: %w", err)
	}
	sum := sha256.Sum256(k.style)
	k.styleAt = Prefix + "/style." + hex.EncodeToString(sum[:6]) + ".css"
	if err := k.parse(); err != nil {
		return nil, fmt.Errorf("console: %w", err)
	}
	cross := http.NewCrossOriginProtection()
	// A proxy may ask for another Host than the browser did.
	if err := cross.AddTrustedOrigin(u.Scheme + "://" + u.Host); err != nil {
		return nil, fmt.Errorf("console: %w", err)
	}
	cross.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		k.fail(&visit{Console: k, w: w, r: r}, errElsewhere)
	}))
	k.handler = cross.Handler(k.routes())
	return k, nil
}

// maxForm bounds what a form may send, bytes.
const maxForm = 64 << 10

// ServeHTTP answers.
func (k *Console) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	defer func() {
		if p := recover(); p != nil {
			if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				panic(p)
			}
			k.c.Log.Error("panic in a page", "path", r.URL.Path, "panic", p)
			k.fail(&visit{Console: k, w: w, r: r}, errInternal)
		}
	}()
	k.handler.ServeHTTP(w, r)
}

// A route is a page, or what a form of one does.
type route struct {
	method, path string
	signedIn     bool // who is not is led to the door
	serve        func(*Console, *visit) error
}

// table is what there is.
func table() []route {
	return []route{
		{"GET", "", true, (*Console).overview},
		{"GET", "/sign-up", false, (*Console).signUp},
		{"POST", "/sign-up", false, (*Console).signUpSend},
		{"GET", "/confirm", false, (*Console).confirm},
		{"POST", "/confirm", false, (*Console).confirmSend},
		{"GET", "/sign-in", false, (*Console).signIn},
		{"POST", "/sign-in", false, (*Console).signInSend},
		{"GET", "/second-factor", false, (*Console).factor},
		{"POST", "/second-factor", false, (*Console).factorSend},
		{"GET", "/forgot", false, (*Console).forgot},
		{"POST", "/forgot", false, (*Console).forgotSend},
		{"GET", "/reset", false, (*Console).reset},
		{"POST", "/reset", false, (*Console).resetSend},
		{"GET", "/mail", false, (*Console).confirmMail},
		{"POST", "/mail", false, (*Console).confirmMailSend},
		{"POST", "/sign-out", true, (*Console).signOut},
		{"GET", "/keys", true, (*Console).keys},
		{"POST", "/keys", true, (*Console).keyMake},
		{"GET", "/keys/{key}", true, (*Console).key},
		{"POST", "/keys/{key}", true, (*Console).keyChange},
		{"POST", "/keys/{key}/rotate", true, (*Console).keyRotate},
		{"POST", "/keys/{key}/revoke", true, (*Console).keyRevoke},
		{"GET", "/usage", true, (*Console).usage},
		{"GET", "/usage.csv", true, (*Console).usageCSV},
		{"GET", "/limits", true, (*Console).limits},
		{"POST", "/limits", true, (*Console).limitsSend},
		{"GET", "/security", true, (*Console).security},
		{"POST", "/security/password", true, (*Console).passwordSend},
		{"POST", "/security/mail", true, (*Console).mailSend},
		{"POST", "/security/totp", true, (*Console).totpBegin},
		{"POST", "/security/totp/confirm", true, (*Console).totpConfirm},
		{"POST", "/security/totp/end", true, (*Console).totpEnd},
		{"POST", "/security/recovery", true, (*Console).recoverySend},
		{"POST", "/security/sessions/{id}", true, (*Console).sessionEnd},
		{"POST", "/security/others", true, (*Console).othersEnd},
		{"POST", "/security/devices/{id}", true, (*Console).deviceForget},
		{"GET", "/log", true, (*Console).log},
		{"GET", "/data", true, (*Console).data},
		{"GET", "/export.json", true, (*Console).export},
		{"POST", "/delete", true, (*Console).deleteSend},
	}
}

func (k *Console) routes() http.Handler {
	mux := http.NewServeMux()
	for _, t := range table() {
		mux.HandleFunc(t.method+" "+Prefix+t.path, func(w http.ResponseWriter, r *http.Request) { k.serve(w, r, &t) })
	}
	mux.HandleFunc("GET "+k.styleAt, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable") // its name is its hash
		w.Header().Set("Content-Type", "text/css; charset=utf-8")
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(k.style))
	})
	mux.HandleFunc(Prefix+"/", func(w http.ResponseWriter, r *http.Request) {
		k.fail(k.visit(w, r), errNotHere)
	})
	return mux
}

func (k *Console) serve(w http.ResponseWriter, r *http.Request, t *route) {
	v := k.visit(w, r)
	if r.Method == http.MethodPost {
		if err := r.ParseForm(); err != nil {
			k.fail(v, errForm)
			return
		}
	}
	err := k.recognise(v)
	if err == nil && t.signedIn && !v.in {
		k.door(v)
		return
	}
	if err == nil {
		err = t.serve(k, v)
	}
	if err != nil {
		k.fail(v, err)
	}
}
