package sqs

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/ec2rolecreds"
	"github.com/aws/aws-sdk-go-v2/credentials/endpointcreds"
	"github.com/aws/aws-sdk-go-v2/credentials/processcreds"
)

// errWho: who asks is not known, and asking once more changes nothing.
var errWho = errors.New("who asks is not known to AWS")

// chain finds who asks where AWS's own tools look, in their order: a profile that is
// named; the environment; the token of a pod; the profile default; the role of a
// container, and that of a machine. A profile has keys, or a credential_process that
// gives them.
func chain(profile shared, getenv func(string) string, region string) (aws.CredentialsProvider, error) {
	if getenv("AWS_PROFILE") == "" {
		if id, secret := getenv("AWS_ACCESS_KEY_ID"), getenv("AWS_SECRET_ACCESS_KEY"); id != "" && secret != "" {
			return fixed(aws.Credentials{AccessKeyID: id, SecretAccessKey: secret, SessionToken: getenv("AWS_SESSION_TOKEN")}), nil
		}
		if file, role := getenv("AWS_WEB_IDENTITY_TOKEN_FILE"), getenv("AWS_ROLE_ARN"); file != "" && role != "" {
			return cached(&webIdentity{file: file, role: role, name: getenv("AWS_ROLE_SESSION_NAME"), url: stsURL(getenv, region)}), nil
		}
	}
	if p, err := profile.provider(); p != nil || err != nil {
		return p, err
	}
	if path := getenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"); path != "" {
		return container("http://169.254.170.2"+path, getenv)
	}
	if u := getenv("AWS_CONTAINER_CREDENTIALS_FULL_URI"); u != "" {
		return container(u, getenv)
	}
	return cached(ec2rolecreds.New()), nil
}

func cached(p aws.CredentialsProvider) aws.CredentialsProvider {
	return aws.NewCredentialsCache(p, func(o *aws.CredentialsCacheOptions) { o.ExpiryWindow = 5 * time.Minute })
}

func fixed(c aws.Credentials) aws.CredentialsProvider {
	return aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return c, nil })
}

// container asks the agent of a container. Its token goes over http to the agents'
// own addresses only.
func container(where string, getenv func(string) string) (aws.CredentialsProvider, error) {
	u, err := url.Parse(where)
	if err != nil || u.Host == "" {
		return nil, fmt.Errorf("%w: AWS_CONTAINER_CREDENTIALS_FULL_URI is no URL", errWho)
	}
	if u.Scheme != "https" && !ofAgent(u.Hostname()) {
		return nil, fmt.Errorf("%w: AWS_CONTAINER_CREDENTIALS_FULL_URI over http is %s, which is neither loopback nor an agent's address", errWho, u.Hostname())
	}
	return cached(endpointcreds.New(where, func(o *endpointcreds.Options) {
		o.AuthorizationToken = getenv("AWS_CONTAINER_AUTHORIZATION_TOKEN")
		if file := getenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"); file != "" {
			o.AuthorizationTokenProvider = endpointcreds.TokenProviderFunc(func() (string, error) {
				text, err := readBounded(file)
				return string(text), err
			})
		}
	})), nil
}

// ofAgent: the host is this one, or where ECS and EKS have their agents.
func ofAgent(host string) bool {
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && (a.IsLoopback() || host == "169.254.170.2" || host == "169.254.170.23" || host == "fd00:ec2::23")
}

// webIdentity trades the token of a pod for keys of its role.
type webIdentity struct{ file, role, name, url string }

func stsURL(getenv func(string) string, region string) string {
	for _, name := range []string{"AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL"} {
		if u := getenv(name); u != "" {
			return u
		}
	}
	return "https://sts." + region + suffix(region) + "/"
}

// suffix is what the names of a region's servers end with.
func suffix(region string) string {
	if strings.HasPrefix(region, "cn-") {
		return ".amazonaws.com.cn"
	}
	return ".amazonaws.com"
}

// Retrieve asks for keys. The question is not signed: the token is the proof.
func (w *webIdentity) Retrieve(ctx context.Context) (aws.Credentials, error) {
	token, err := readBounded(w.file)
	if err != nil {
		return aws.Credentials{}, err
	}
	name := w.name
	if name == "" {
		name = "ipwarden"
	}
	form := url.Values{
		"Action": {"AssumeRoleWithWebIdentity"}, "Version": {"2011-06-15"},
		"RoleArn": {w.role}, "RoleSessionName": {name}, "WebIdentityToken": {strings.TrimSpace(string(token))},
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url, strings.NewReader(form.Encode()))
	if err != nil {
		return aws.Credentials{}, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	got, err := client.Do(r)
	if err != nil {
		return aws.Credentials{}, err
	}
	defer got.Body.Close()
	text, err := io.ReadAll(io.LimitReader(got.Body, 1<<20))
	if err != nil {
		return aws.Credentials{}, err
	}
	var said struct {
		Keys struct {
			AccessKeyId, SecretAccessKey, SessionToken string
			Expiration                                 time.Time
		} `xml:"AssumeRoleWithWebIdentityResult>Credentials"`
		Code    string `xml:"Error>Code"`
		Message string `xml:"Error>Message"`
	}
	err = xml.Unmarshal(text, &said)
	if got.StatusCode != http.StatusOK {
		return aws.Credentials{}, &failure{Status: got.StatusCode, Code: short(said.Code, 100), Message: short(said.Message, 300)}
	}
	if err != nil || said.Keys.AccessKeyId == "" || said.Keys.SecretAccessKey == "" {
		return aws.Credentials{}, errors.New("the answer about the role has no keys")
	}
	return aws.Credentials{
		AccessKeyID: said.Keys.AccessKeyId, SecretAccessKey: said.Keys.SecretAccessKey, SessionToken: said.Keys.SessionToken,
		CanExpire: true, Expires: said.Keys.Expiration, Source: "web identity",
	}, nil
}

// readBounded reads a small file.
func readBounded(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, 1<<20+1))
	if len(text) > 1<<20 {
		return nil, fmt.Errorf("%s is larger than 1 MiB", name)
	}
	return text, err
}

// process gives the keys that a command prints.
func process(command string) aws.CredentialsProvider {
	return cached(processcreds.NewProvider(command))
}
