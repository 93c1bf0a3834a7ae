package peoplehttp

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/ipwarden/ipwarden/internal/account"
	"github.com/ipwarden/ipwarden/internal/account/people"
	"github.com/ipwarden/ipwarden/internal/customer"
)

// Prefix is where the API is.
const Prefix = "/v1/account"

// Config of an [API].
type Config struct {
	// People signs people in. Required.
	People *people.People
	// Accounts has their keys and plans. Required.
	Accounts *account.Service
	// Key admits a call that carries an API key to the routes of keys, which needs the
	// scope for them; an error is a [Refused]. Default: only who is signed in gets in.
	Key func(r *http.Request, text string) (Admitted, error)
	// InForce waits until a revision of the accounts is in force at this server, so that
	// a key works when its text is told. Default: it does not wait.
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

// An API answers everything below [Prefix]. It is safe for concurrent use.
type API struct {
	c       Config
	secure  bool // reached over TLS
	handler http.Handler
}

// New returns an API. The error names every mistake in c.
func New(c Config) (*API, error) {
	var errs []error
	if c.People == nil || c.Accounts == nil {
		errs = append(errs, errors.New("something is missing: People and Accounts are required"))
	}
	u, err := url.Parse(c.URL)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		errs = append(errs, fmt.Errorf("the URL %q is none of a server; one is https://ip.example", c.URL))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("peoplehttp: %w", err)
	}
	if c.Client == nil {
		c.Client = Peer
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
	a := &API{c: c, secure: u.Scheme == "https"}
	cross := http.NewCrossOriginProtection()
	// A proxy may ask for another Host than the browser did.
	if err := cross.AddTrustedOrigin(u.Scheme + "://" + u.Host); err != nil {
		return nil, fmt.Errorf("peoplehttp: %w", err)
	}
	cross.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		writeProblem(w, http.StatusForbidden, "cross-origin", "Another site sent this", "A browser says that another site has sent this request. Programs send no Origin and no Sec-Fetch-Site.", nil)
	}))
	a.handler = cross.Handler(a.routes())
	return a, nil
}

// Peer is who asks where nobody is believed about that; the invalid address over a Unix
// socket.
func Peer(r *http.Request) netip.Addr {
	p, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return p.Addr().Unmap().WithZone("")
}

// maxBody bounds what a request may send, bytes.
const maxBody = 64 << 10

// ServeHTTP answers.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	a.handler.ServeHTTP(w, r)
}

// A call is one request, and who makes it.
type call struct {
	*API
	w       http.ResponseWriter
	r       *http.Request
	visit   people.Visit
	session people.Session // of routes for who is signed in
	by      customer.KeyID // the key that asks instead; 0 is none
}

// A route is something that is there.
type route struct {
	method, path string
	who          who
	serve        func(*call) error
}

// who a route is for.
type who uint8

const (
	anybody  who = iota
	signedIn     // who is signed in
	keeper       // and a key with the scope for keys
)

// table is what there is.
func table() []route {
	return []route{
		{"POST", "/sign-up", anybody, (*call).signUp},
		{"POST", "/confirm", anybody, (*call).confirm},
		{"POST", "/sign-in", anybody, (*call).signIn},
		{"POST", "/second-factor", anybody, (*call).secondFactor},
		{"POST", "/forgot", anybody, (*call).forgot},
		{"POST", "/reset", anybody, (*call).reset},
		{"POST", "/mail/confirm", anybody, (*call).confirmMail},
		{"POST", "/sign-out", signedIn, (*call).signOut},

		{"GET", "", signedIn, (*call).show},
		{"DELETE", "", signedIn, (*call).remove},
		{"GET", "/export", signedIn, (*call).export},
		{"GET", "/log", signedIn, (*call).log},
		{"POST", "/password", signedIn, (*call).changePassword},
		{"POST", "/mail", signedIn, (*call).changeMail},
		{"POST", "/totp", signedIn, (*call).beginTOTP},
		{"POST", "/totp/confirm", signedIn, (*call).confirmTOTP},
		{"DELETE", "/totp", signedIn, (*call).endTOTP},
		{"POST", "/recovery-codes", signedIn, (*call).newRecoveryCodes},
		{"GET", "/sessions", signedIn, (*call).sessions},
		{"DELETE", "/sessions", signedIn, (*call).endOthers},
		{"DELETE", "/sessions/{id}", signedIn, (*call).endSession},
		{"GET", "/devices", signedIn, (*call).devices},
		{"DELETE", "/devices/{id}", signedIn, (*call).forgetDevice},

		{"GET", "/keys", keeper, (*call).keys},
		{"POST", "/keys", keeper, (*call).newKey},
		{"PATCH", "/keys/{id}", keeper, (*call).changeKey},
		{"POST", "/keys/{id}/rotate", keeper, (*call).rotateKey},
		{"DELETE", "/keys/{id}", keeper, (*call).revokeKey},
	}
}

func (a *API) routes() http.Handler {
	mux := http.NewServeMux()
	for _, t := range table() {
		mux.HandleFunc(t.method+" "+Prefix+t.path, func(w http.ResponseWriter, r *http.Request) { a.serve(w, r, t.who, t.serve) })
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h, pattern := mux.Handler(r)
		if pattern != "" {
			mux.ServeHTTP(w, r)
			return
		}
		// The mux says which methods work; here it is said in the shape of the rest.
		probe := &probe{header: http.Header{}}
		h.ServeHTTP(probe, r)
		if probe.status == http.StatusMethodNotAllowed {
			w.Header().Set("Allow", probe.header.Get("Allow"))
			writeProblem(w, http.StatusMethodNotAllowed, "method-not-allowed", "Method not allowed", "That does not work here; "+probe.header.Get("Allow")+" do.", nil)
			return
		}
		writeProblem(w, http.StatusNotFound, "not-found", "Not found", "There is nothing at this path. What there is, /openapi.json and /docs describe.", nil)
	})
}

// probe takes an answer that is put into other words.
type probe struct {
	header http.Header
	status int
}

func (p *probe) Header() http.Header         { return p.header }
func (p *probe) WriteHeader(status int)      { p.status = status }
func (p *probe) Write(b []byte) (int, error) { return len(b), nil }

func (a *API) serve(w http.ResponseWriter, r *http.Request, of who, f func(*call) error) {
	c := &call{API: a, w: w, r: r}
	c.visit = people.Visit{Address: a.c.Client(r), Agent: r.UserAgent(), Device: a.cookie(r, cookieDevice)}
	defer func() {
		if p := recover(); p != nil {
			if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				panic(p)
			}
			a.fail(w, r, fmt.Errorf("panic: %v", p))
		}
	}()
	if key := carried(r); key != "" && of == keeper && a.c.Key != nil {
		c.serveKey(key, f)
		return
	}
	if of != anybody {
		text := a.text(r)
		s, err := a.c.People.Session(r.Context(), text)
		if err != nil {
			a.fail(w, r, err)
			return
		}
		if s.Renewed && text == a.cookie(r, cookieSession) { // the browser forgets it no earlier than the server
			a.setCookie(w, cookieSession, text, s.Expires)
		}
		c.session = s
	}
	if err := f(c); err != nil {
		a.fail(w, r, err)
	}
}

// text is that of the session: a bearer token, else a cookie.
func (a *API) text(r *http.Request) string {
	if scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok && strings.EqualFold(scheme, "bearer") {
		return strings.TrimSpace(token)
	}
	return a.cookie(r, cookieSession)
}

// read reads the body: one JSON object with members that are known, and nothing else.
// A form of another site cannot send that.
func (c *call) read(to any) error {
	kind, _, err := mime.ParseMediaType(c.r.Header.Get("Content-Type"))
	if err != nil || kind != "application/json" {
		return &problem{http.StatusUnsupportedMediaType, "unsupported-media-type", "Not JSON", "Send a JSON object, with Content-Type: application/json."}
	}
	body, err := io.ReadAll(c.r.Body)
	if err != nil {
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			return &problem{http.StatusRequestEntityTooLarge, "too-large", "The body is too large", "A body has at most 64 KiB."}
		}
		return &problem{http.StatusBadRequest, "malformed-request", "Malformed request", "The body did not arrive."}
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	err = d.Decode(to)
	if err == nil {
		// Nothing may follow, not even what is no value: the guard reads the body too, and
		// what one of the two does not understand is not counted.
		if _, more := d.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("something follows the object")
		}
	}
	if err != nil {
		return &problem{http.StatusBadRequest, "bad-json", "Not the JSON that is wanted", wrongJSON(err)}
	}
	return nil
}

// wrongJSON says what was wrong without repeating what was sent, which has secrets.
func wrongJSON(err error) string {
	var kind *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &kind):
		return fmt.Sprintf("%q is of the wrong type: it is a JSON %s.", kind.Field, jsonType(kind.Type.Kind().String()))
	case errors.As(err, &syntax):
		return fmt.Sprintf("It is no JSON from byte %d on.", syntax.Offset)
	case strings.HasPrefix(err.Error(), "json: unknown field "):
		name := strings.Trim(strings.TrimPrefix(err.Error(), "json: unknown field "), `"`)
		if len(name) > 40 {
			name = name[:40] + "…"
		}
		return fmt.Sprintf("There is no member %q; /openapi.json lists them.", name)
	}
	return "It is not one JSON object."
}

func jsonType(kind string) string {
	switch kind {
	case "bool":
		return "boolean"
	case "slice", "array":
		return "array"
	case "string", "struct", "map":
		return map[string]string{"string": "string", "struct": "object", "map": "object"}[kind]
	}
	return "number"
}

// answer writes JSON.
func (c *call) answer(status int, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	c.w.Header().Set("Content-Type", "application/json")
	c.w.WriteHeader(status)
	_, _ = c.w.Write(append(text, '\n')) // the client may be gone
	return nil
}

func (c *call) nothing() error {
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

// actor is who does it, for the log.
func (c *call) actor() string {
	if c.by != 0 {
		return c.by.String()
	}
	return c.session.Account.ID.String()
}

// from is the context of changes, whose entries of the log have where they came from.
func (c *call) from() context.Context { return account.From(c.r.Context(), c.visit.Address) }
