package people

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
	"golang.org/x/text/unicode/norm"

	"github.com/ipwarden/ipwarden/internal/account"
)

// How a password is hashed: the second choice of OWASP for argon2id, 19 MiB in two
// passes, which a processor does in some 50 ms.
const (
	argonMemory  = 19 << 10 // KiB
	argonPasses  = 2
	argonThreads = 1
	argonSalt    = 16
	argonSum     = 32
)

// A hasher hashes passwords, so many at once and no more: each takes 19 MiB, and who
// asks for many must not take the processors from the look-ups.
type hasher struct {
	memory  uint32 // KiB; argonMemory but in tests
	slots   chan struct{}
	waiting atomic.Int64
	done    atomic.Int64 // for tests and metrics
}

// Who comes when so many wait already is told to come back, and who waits so long too.
const (
	maxWaiting = 64
	maxWait    = 5 * time.Second
)

func newHasher(n int) *hasher {
	if n <= 0 {
		n = max(2, runtime.GOMAXPROCS(0))
	}
	return &hasher{memory: argonMemory, slots: make(chan struct{}, n)}
}

var errBusy = &Error{Code: Busy, Message: "Too many people sign in at this moment. Try again in some seconds.", After: 5 * time.Second}

// sum hashes one password, in its turn.
func (h *hasher) sum(ctx context.Context, password string, salt []byte, memory, passes uint32, threads uint8, length int) ([]byte, error) {
	select {
	case h.slots <- struct{}{}:
	default:
		if h.waiting.Add(1) > maxWaiting {
			h.waiting.Add(-1)
			return nil, errBusy
		}
		t := time.NewTimer(maxWait)
		defer t.Stop()
		select {
		case h.slots <- struct{}{}:
			h.waiting.Add(-1)
		case <-t.C:
			h.waiting.Add(-1)
			return nil, errBusy
		case <-ctx.Done():
			h.waiting.Add(-1)
			return nil, context.Cause(ctx)
		}
	}
	defer func() { <-h.slots }()
	h.done.Add(1)
	// Two ways to type one character are one password (NIST SP 800-63B, 5.1.1.2).
	return argon2.IDKey(norm.NFKC.Bytes([]byte(password)), salt, passes, memory, threads, uint32(length)), nil
}

// hash makes what is kept of a password.
func (h *hasher) hash(ctx context.Context, password string) (string, error) {
	salt := make([]byte, argonSalt)
	rand.Read(salt) // never fails
	sum, err := h.sum(ctx, password, salt, h.memory, argonPasses, argonThreads, argonSum)
	if err != nil {
		return "", err
	}
	b := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, h.memory, argonPasses, argonThreads, b.EncodeToString(salt), b.EncodeToString(sum)), nil
}

// nobody is what is compared with where there is no password: the same work, and never
// right.
const nobody = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

// verify reports whether a password is the one of kept, "" for none. again says that
// kept was made with other parameters than today's.
func (h *hasher) verify(ctx context.Context, kept, password string) (right, again bool, err error) {
	there := kept != ""
	if !there {
		kept = nobody
	}
	k, err := parseKept(kept)
	if err != nil {
		return false, false, err
	}
	if !there {
		k.memory = h.memory
	}
	if len(password) > MaxPassword {
		password, there = "", false // as much work as for any other
	}
	sum, err := h.sum(ctx, password, k.salt, k.memory, k.passes, k.threads, len(k.sum))
	if err != nil {
		return false, false, err
	}
	right = subtle.ConstantTimeCompare(sum, k.sum) == 1 && there
	return right, right && (k.memory != h.memory || k.passes != argonPasses || k.threads != argonThreads), nil
}

type kept struct {
	memory, passes uint32
	threads        uint8
	salt, sum      []byte
}

// parseKept reads what hash wrote. What it may cost is bounded: who can write into the
// database must not be able to stop the server.
func parseKept(s string) (k kept, err error) {
	var version int
	rest, ok := strings.CutPrefix(s, "$argon2id$")
	parts := strings.Split(rest, "$")
	if !ok || len(parts) != 4 {
		return k, errors.New("a password is not kept as argon2id")
	}
	if _, err := fmt.Sscanf(parts[0]+" "+parts[1], "v=%d m=%d,t=%d,p=%d", &version, &k.memory, &k.passes, &k.threads); err != nil || version != argon2.Version {
		return k, errors.New("a password is kept with parameters that nobody knows")
	}
	k.salt, err = base64.RawStdEncoding.DecodeString(parts[2])
	if err == nil {
		k.sum, err = base64.RawStdEncoding.DecodeString(parts[3])
	}
	switch {
	case err != nil:
		return k, errors.New("a password is kept with characters that are not base 64")
	case k.memory < 8 || k.memory > 256<<10 || k.passes < 1 || k.passes > 16 || k.threads < 1 || k.threads > 16, len(k.salt) < 8 || len(k.salt) > 64, len(k.sum) < 16 || len(k.sum) > 64:
		return k, errors.New("a password is kept with parameters out of all bounds")
	}
	return k, nil
}

// checkPassword says what is wrong with a new password. Length is what makes one good;
// rules about characters make worse ones.
func checkPassword(password, email string) error {
	bad := func(format string, args ...any) error {
		return account.Invalid{{Field: "password", Message: fmt.Sprintf(format, args...)}}
	}
	local, _, _ := strings.Cut(account.EmailKey(email), "@")
	folded := strings.ToLower(password)
	distinct := map[rune]bool{}
	for _, r := range folded {
		distinct[r] = true
	}
	switch {
	case !utf8.ValidString(password) || strings.ContainsRune(password, 0):
		return bad("it is no text")
	case utf8.RuneCountInString(password) < MinPassword:
		return bad("it has %d characters; at least %d make one that is not guessed: three words are easy to remember", utf8.RuneCountInString(password), MinPassword)
	case len(password) > MaxPassword:
		return bad("it has more than %d bytes", MaxPassword)
	case len(distinct) < 5:
		return bad("it is nearly the same character again and again")
	case folded == account.EmailKey(email), len(local) >= 6 && strings.Contains(folded, local):
		return bad("it has your address in it, which is tried first")
	case common[folded]:
		return bad("it is one of those that are tried first")
	}
	return nil
}

// common are the passwords of ten characters and more that lists of stolen ones have
// most often.
var common = map[string]bool{
	"1234567890": true, "12345678910": true, "0123456789": true, "0987654321": true, "qwertyuiop": true, "1q2w3e4r5t": true, "1q2w3e4r5t6y": true,
	"password123": true, "password1234": true, "password12": true, "passw0rd123": true, "iloveyou123": true, "qwerty123456": true, "qwerty12345": true,
	"1qaz2wsx3edc": true, "abcdefghij": true, "abcd123456": true, "abc1234567": true, "asdfghjkl1": true, "letmein123": true, "welcome123": true,
	"changeme123": true, "administrator": true, "princess123": true, "football123": true, "baseball123": true, "superman123": true, "sunshine123": true,
	"unbelievable": true, "mypassword": true, "correcthorsebatterystaple": true, "basketball": true, "1234512345": true, "1234554321": true,
	"123456789a": true, "a123456789": true, "q1w2e3r4t5": true, "q1w2e3r4t5y6": true, "zaq12wsxcde3": true, "qazwsxedcrfv": true, "qwerty1234": true,
}
