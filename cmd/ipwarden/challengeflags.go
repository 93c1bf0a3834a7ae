package main

import (
	"encoding/hex"
	"errors"
	"log/slog"
	"os"
	"strings"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/gate/challenge"
	"github.com/ipwarden/ipwarden/policy"
	"github.com/ipwarden/ipwarden/redis"
)

// challengeFlags say how clients prove themselves.
type challengeFlags struct {
	ChallengeKeyFile  string `env:"IPWARDEN_CHALLENGE_KEY_FILE" placeholder:"FILE" help:"64 hexadecimal digits that sign clearances, the same on all nodes; or IPWARDEN_CHALLENGE_KEY. By default clearances end with the process."`
	ChallengeSecure   bool   `env:"IPWARDEN_CHALLENGE_SECURE" help:"Clearances go over HTTPS alone: set it where something in front takes TLS off."`
	Captcha           string `env:"IPWARDEN_CAPTCHA" placeholder:"NAME" help:"Ask for a CAPTCHA from a risk of --captcha-from on: turnstile, hcaptcha, or the URL of another siteverify. By default nobody outside is asked."`
	CaptchaSiteKey    string `env:"IPWARDEN_CAPTCHA_SITE_KEY" placeholder:"KEY" help:"The public key of the CAPTCHA's account."`
	CaptchaSecretFile string `env:"IPWARDEN_CAPTCHA_SECRET_FILE" placeholder:"FILE" help:"Its secret; or IPWARDEN_CAPTCHA_SECRET."`
	CaptchaFrom       uint8  `env:"IPWARDEN_CAPTCHA_FROM" default:"0" placeholder:"SCORE" help:"Below it a computation is enough; default ${default}."`
}

// secret reads what a file holds, or a variable where no file is named.
func secret(file, variable string, e *env) (string, error) {
	if file == "" {
		return strings.TrimSpace(e.getenv(variable)), nil
	}
	b, err := os.ReadFile(file)
	return strings.TrimSpace(string(b)), err
}

// open makes the challenges. route says which fail mode a path has; what was
// solved is shared through the limiter, where there is one.
func (f *challengeFlags) open(e *env, route func(*ipwarden.Request) *policy.Route, shared *redis.Limiter, raise func() int, log *slog.Logger) (*challenge.Challenges, error) {
	work := challenge.ProofOfWork{Raise: raise}
	cfg := challenge.Config{Secure: f.ChallengeSecure, Now: e.now, Kinds: []challenge.Choice{{Kind: work}}}
	if shared != nil {
		cfg.Spender = shared
	}
	cfg.FailMode = func(to string) policy.FailMode { return route(&ipwarden.Request{Method: "GET", Path: to}).FailMode }
	text, err := secret(f.ChallengeKeyFile, "IPWARDEN_CHALLENGE_KEY", e)
	if err != nil {
		return nil, err
	}
	if text != "" {
		if cfg.Key, err = hex.DecodeString(text); err != nil || len(cfg.Key) < 32 {
			return nil, errors.New("the challenge key is not 64 hexadecimal digits; make one with: openssl rand -hex 32")
		}
	}
	if f.Captcha != "" {
		captcha := challenge.CaptchaConfig{SiteKey: f.CaptchaSiteKey, Log: log}
		switch f.Captcha {
		case "turnstile":
		case "hcaptcha":
			captcha.VerifyURL = "https://api.hcaptcha.com/siteverify"
		default:
			captcha.VerifyURL = f.Captcha
		}
		if captcha.Secret, err = secret(f.CaptchaSecretFile, "IPWARDEN_CAPTCHA_SECRET", e); err != nil {
			return nil, err
		}
		kind, err := challenge.NewCaptcha(captcha)
		if err != nil {
			return nil, usageError{err}
		}
		cfg.Kinds = []challenge.Choice{{From: 0, Kind: work}, {From: f.CaptchaFrom, Kind: kind}}
		if f.CaptchaFrom == 0 {
			cfg.Kinds = cfg.Kinds[1:]
		}
		// The wait would be a way round the CAPTCHA.
		cfg.WithoutScriptUpTo = int(f.CaptchaFrom) - 1
		if f.CaptchaFrom == 1 {
			cfg.WithoutScriptUpTo = -1 // 0 is the default
		}
	}
	return challenge.New(cfg)
}
