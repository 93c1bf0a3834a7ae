package peoplehttp

import (
	"bytes"
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	_ "embed"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/clientip"
	"github.com/ipwarden/ipwarden/gate"
	"github.com/ipwarden/ipwarden/gate/challenge"
	"github.com/ipwarden/ipwarden/internal/account"
	"github.com/ipwarden/ipwarden/internal/account/people"
	"github.com/ipwarden/ipwarden/limit"
	"github.com/ipwarden/ipwarden/policy"
	"github.com/ipwarden/ipwarden/policy/compile"
)

//go:embed guard.yaml
var guardPolicy []byte

// GuardPolicy is the policy that stands before the doors, for who wants to change it.
func GuardPolicy() []byte { return bytes.Clone(guardPolicy) }

// ChallengePath is where browsers prove themselves.
const ChallengePath = "/account/challenge"

// GuardConfig says what a [Guard] decides with.
type GuardConfig struct {
	// Source says who an address is. Required.
	Source ipwarden.Source
	// Client finds the client's address. Default: the peer, and no header is believed.
	Client *clientip.Extractor
	// Policy is text in place of guard.yaml. Name is what its mistakes are told of.
	Policy []byte
	Name   string
	// Remembers says whether a browser was remembered for an account: People.Remembers.
	// Default: none was.
	Remembers func(ctx context.Context, device, email string) bool
	// Secret signs clearances, and keys the counts: the same on all nodes. Required.
	Secret []byte
	// Secure says that people come over HTTPS.
	Secure bool
	// Limiter counts attempts; one that nodes share has them count together, since the
	// Secret is theirs as well. Default: one in memory.
	Limiter limit.Limiter
	// Bans are networks that are shut out for now. Default: none.
	Bans gate.Bans
	// Raise is by how many bits the proof of work is raised as of now. Default: none.
	Raise func() int
	// Now is time.Now when it is nil.
	Now func() time.Time
	// Log takes what went wrong. Default: slog.Default().
	Log *slog.Logger
}

// A Guard stands before the doors of accounts: ipwarden's own gate. It is safe for
// concurrent use.
type Guard struct {
	gate       *gate.Gate
	challenges *challenge.Challenges
	log        *slog.Logger
	remembers  func(ctx context.Context, device, email string) bool
	secure     bool
}

// NewGuard checks the config and the policy, and tells all mistakes.
func NewGuard(c GuardConfig) (*Guard, error) {
	if c.Source == nil || len(c.Secret) < 16 {
		return nil, errors.New("peoplehttp: Source and Secret are required")
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Policy == nil {
		c.Policy, c.Name = guardPolicy, "guard.yaml"
	}
	program, err := compile.Read(c.Name, c.Policy, compile.Options{})
	if err != nil {
		return nil, err
	}
	key, err := hkdf.Key(sha256.New, c.Secret, nil, "ipwarden account challenge 1", 32)
	if err != nil {
		return nil, err
	}
	seed, err := hkdf.Key(sha256.New, c.Secret, nil, "ipwarden account guard 1", 16)
	if err != nil {
		return nil, err
	}
	g := &Guard{log: c.Log, secure: c.Secure, remembers: c.Remembers}
	if g.challenges, err = challenge.New(challenge.Config{Key: key, Path: ChallengePath, Cookie: "ipwarden-account-clearance", Secure: c.Secure, Now: c.Now, Kinds: []challenge.Choice{{Kind: challenge.ProofOfWork{Raise: c.Raise}}}}); err != nil {
		return nil, err
	}
	if c.Limiter == nil {
		if c.Limiter, err = limit.NewMemory(limit.MemoryConfig{Entries: 1 << 17, Now: c.Now}); err != nil {
			return nil, err
		}
	}
	g.gate, err = gate.New(gate.Config{
		Source: c.Source, Program: program.Program, Risk: program.Risk, Client: c.Client, Limiter: c.Limiter, Seed: [16]byte(seed),
		Challenges: g.challenges, Bans: c.Bans, Enrich: []string{}, Remember: 1024, Now: c.Now,
	})
	if err != nil {
		return nil, err
	}
	return g, nil
}

// Challenge serves the page where browsers prove themselves, at [ChallengePath].
func (g *Guard) Challenge() http.Handler { return g.challenges }

// UseClient finds clients in another way from now on.
func (g *Guard) UseClient(c *clientip.Extractor) { g.gate.UseClient(c) }

// purposes are what the policy knows requests by.
var purposes = map[string]string{
	"sign-up": "sign-up", "forgot": "forgot", "sign-in": "sign-in", "second-factor": "factor", "confirm": "link", "reset": "link", "mail/confirm": "link", "mail": "link",
}

// purpose says what a request is for; "" is nothing that is guarded.
func purpose(r *http.Request) string {
	for _, prefix := range []string{Prefix + "/", "/account/"} {
		if len(r.URL.Path) <= len(prefix) || r.URL.Path[:len(prefix)] != prefix {
			continue
		}
		what := r.URL.Path[len(prefix):]
		switch {
		case r.Method == http.MethodPost && (what != "mail" || prefix == "/account/"): // in the API that is for who is signed in
			return purposes[what]
		case what == "sign-up" && (r.Method == http.MethodGet || r.Method == http.MethodHead):
			return "form"
		}
	}
	return ""
}

// knows reports whether the browser was remembered for an account.
func (g *Guard) knows(r *http.Request, email string) bool {
	c, err := r.Cookie(cookieName(cookieDevice, g.secure))
	return err == nil && g.remembers != nil && g.remembers(r.Context(), c.Value, email)
}

// emailOf reads whose account a request is about, of a form or of JSON, as it is
// compared, and leaves the body to be read again.
func emailOf(w http.ResponseWriter, r *http.Request) (email string, ok bool) {
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	switch kind {
	case "application/x-www-form-urlencoded":
		email = r.PostFormValue("email")
	case "application/json":
		body, err := io.ReadAll(r.Body)
		if err != nil {
			writeProblem(w, http.StatusRequestEntityTooLarge, "too-large", "The body is too large", "A body has at most 64 KiB.", nil)
			return "", false
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		var q struct {
			Email string `json:"email"`
		}
		_ = json.Unmarshal(body, &q) // who reads it says what is wrong with it
		email = q.Email
	}
	// Whose account it is must be found as signing in finds it: space first, then length.
	if email = account.EmailKey(email); len(email) > 1024 {
		email = email[:1024]
	}
	return email, true
}

// Handler lets pass to next who may try, and tells the limits what became of it.
func (g *Guard) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		why := purpose(r)
		if why == "" {
			next.ServeHTTP(w, r)
			return
		}
		facts := map[string]string{"purpose": why}
		if why == "sign-up" || why == "forgot" || why == "sign-in" {
			email, ok := emailOf(w, r)
			if !ok {
				return
			}
			facts["email"] = email
		}
		if why == "sign-in" && g.knows(r, facts["email"]) {
			facts["device"] = "known"
		}
		var q ipwarden.Request
		var d gate.Decision
		gate.RequestOf(r, &q)
		q.Account = facts
		// The policy sees the page's path, so that one rule is for both, and a browser
		// that has proven itself comes back to a page.
		program := strings.HasPrefix(q.Path, Prefix+"/")
		q.Path = "/account" + strings.TrimPrefix(strings.TrimPrefix(q.Path, Prefix), "/account")
		g.gate.Begin(r.Context(), &q, &d)
		switch {
		case d.Passes():
		case d.Verdict == ipwarden.Challenge && d.Location != "" && program:
			writeProblem(w, http.StatusForbidden, "challenge", "Proof of work is wanted", "Open the location in a browser, which proves itself there, and send the cookie that it gets.", map[string]any{"location": d.Location})
			return
		default:
			d.Refuse(w, r)
			return
		}
		ctx, attempt := people.Follow(r.Context())
		defer func() {
			o := policy.Outcome{Event: "done"}
			if attempt.Failed() {
				o.Event = "failed"
			}
			if err := g.gate.Settle(context.WithoutCancel(r.Context()), &d, o); err != nil {
				g.log.Warn("an attempt to sign in was not counted", "error", err)
			}
		}()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}
