package sqs

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// caller asks a queue's server in the JSON protocol of SQS. The SDK's own client would
// do the same; what it links takes 1 ms and 0.7 MB of every start of the program, also
// of those that never see a queue.
type caller struct {
	url, region string
	who         aws.CredentialsProvider
	signer      *v4.Signer
	http        *http.Client
	pause       time.Duration // before the second attempt; twice that before the third
}

// attempts are how often a question is asked that was not answered, or with 429 or 5xx.
const attempts = 3

// maxAnswer bounds an answer: ten messages of 1 MiB, each byte of them escaped.
const maxAnswer = 64 << 20

func newCaller(url, region string, who aws.CredentialsProvider) *caller {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 2 * callers
	return &caller{url, region, who, v4.NewSigner(), &http.Client{
		Transport: transport,
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse // a signature is for one host
		},
	}, 200 * time.Millisecond}
}

// failure is what a server says when it does not do what it is asked for.
type failure struct {
	Status  int
	Code    string
	Message string
}

func (f *failure) Error() string {
	switch {
	case f.Code == "":
		return fmt.Sprintf("the server answers with %d", f.Status)
	case f.Message == "":
		return f.Code
	}
	return f.Code + ": " + f.Message
}

// passes: it may go another time.
func (f *failure) passes() bool {
	return f.Status >= 500 || f.Status == http.StatusTooManyRequests || strings.Contains(f.Code, "Throttl") || f.Code == "RequestExpired"
}

// do asks for an action, and reads the answer into answer. An attempt takes at most
// what the server may wait and 20 s more.
func (c *caller) do(ctx context.Context, action string, wait time.Duration, ask, answer any) error {
	body, err := json.Marshal(ask)
	if err != nil {
		return err
	}
	for n := 1; ; n++ {
		err = c.once(ctx, action, wait+20*time.Second, body, answer)
		var f *failure
		if err == nil || ctx.Err() != nil || n == attempts || errors.As(err, &f) && !f.passes() || errors.Is(err, errWho) {
			return err
		}
		pause := time.NewTimer(c.pause<<(n-1)/2 + rand.N(c.pause<<(n-1)/2+1))
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return err
		}
	}
}

func (c *caller) once(ctx context.Context, action string, most time.Duration, body []byte, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	who, err := c.who.Retrieve(ctx)
	if err != nil {
		return fmt.Errorf("%w: %w", errWho, err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/x-amz-json-1.0")
	r.Header.Set("X-Amz-Target", "AmazonSQS."+action)
	hash := sha256.Sum256(body)
	if err := c.signer.SignHTTP(ctx, who, r, hex.EncodeToString(hash[:]), "sqs", c.region, time.Now()); err != nil {
		return err
	}
	got, err := c.http.Do(r)
	if err != nil {
		return err
	}
	defer got.Body.Close()
	read := io.LimitReader(got.Body, maxAnswer+1)
	text, err := io.ReadAll(read)
	if err != nil {
		return err
	}
	if len(text) > maxAnswer {
		return fmt.Errorf("an answer of more than %d bytes", maxAnswer)
	}
	if got.StatusCode != http.StatusOK {
		return failureOf(got.StatusCode, text)
	}
	if err := json.Unmarshal(text, answer); err != nil {
		return fmt.Errorf("the answer to %s is not JSON as it should be: %w", action, err)
	}
	return nil
}

// failureOf reads a refusal. What a stranger wrote is told, but not all of it.
func failureOf(status int, text []byte) *failure {
	var said struct {
		Type    string `json:"__type"`
		Message string `json:"message"`
	}
	f := &failure{Status: status}
	if json.Unmarshal(text, &said) == nil { // json finds Message as well
		f.Code = short(said.Type[strings.LastIndexByte(said.Type, '#')+1:], 100)
		f.Message = short(said.Message, 300)
	}
	return f
}

func short(s string, most int) string {
	s = strings.ToValidUTF8(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s), "?")
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}
