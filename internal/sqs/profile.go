package sqs

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// shared is a profile of the two files that AWS's tools share.
type shared struct {
	name   string
	named  bool // by the environment: then it must be there
	found  bool
	values map[string]string
}

// readProfile reads the profile that the environment names. What the file of
// credentials says stands over what the file of configuration says.
func readProfile(getenv func(string) string) (shared, error) {
	p := shared{name: "default", values: map[string]string{}}
	if name := getenv("AWS_PROFILE"); name != "" {
		p.name, p.named = name, true
	}
	home, _ := os.UserHomeDir() // without one, there are no files in it
	for _, f := range []struct{ env, name, prefix string }{
		{"AWS_CONFIG_FILE", "config", "profile "},
		{"AWS_SHARED_CREDENTIALS_FILE", "credentials", ""},
	} {
		path := getenv(f.env)
		if path == "" {
			if home == "" {
				continue
			}
			path = filepath.Join(home, ".aws", f.name)
		}
		text, err := readBounded(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return p, err
		}
		all := sections(string(text))
		titles := []string{f.prefix + p.name}
		if p.name == "default" {
			titles = []string{"default", f.prefix + p.name}
		}
		for _, title := range titles {
			if values, ok := all[title]; ok {
				p.found = true
				maps.Copy(p.values, values)
			}
		}
	}
	if p.named && !p.found {
		return p, fmt.Errorf("%w: no profile %q (AWS_PROFILE) in ~/.aws/config or ~/.aws/credentials", errWho, p.name)
	}
	return p, nil
}

// provider is nil where a profile does not say who asks.
func (p shared) provider() (aws.CredentialsProvider, error) {
	if id, secret := p.values["aws_access_key_id"], p.values["aws_secret_access_key"]; id != "" && secret != "" {
		return fixed(aws.Credentials{AccessKeyID: id, SecretAccessKey: secret, SessionToken: p.values["aws_session_token"]}), nil
	}
	if command := p.values["credential_process"]; command != "" {
		return process(command), nil
	}
	for _, key := range []string{"sso_session", "sso_start_url", "role_arn", "login_session"} {
		if p.values[key] != "" {
			return nil, fmt.Errorf("%w: the profile %q has %s, which is not read here; let a second profile ask for it, with the line: credential_process = aws configure export-credentials --profile %s --format process", errWho, p.name, key, p.name)
		}
	}
	if p.named && p.values["credential_source"] == "" {
		return nil, fmt.Errorf("%w: the profile %q has no keys", errWho, p.name)
	}
	return nil, nil
}

// sections reads a file of the shape
//
//	[title]
//	key = value
//
// A line that begins with a space belongs to the value above, and is not needed here.
func sections(text string) map[string]map[string]string {
	all := map[string]map[string]string{}
	var into map[string]string
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, " \t\r\n")
		switch {
		case line == "" || line[0] == '#' || line[0] == ';' || line[0] == ' ' || line[0] == '\t':
		case line[0] == '[':
			title, _, _ := strings.Cut(line[1:], "]")
			title = strings.Join(strings.Fields(title), " ")
			if into = all[title]; into == nil {
				into = map[string]string{}
				all[title] = into
			}
		case into != nil:
			key, value, ok := strings.Cut(line, "=")
			if value = strings.TrimSpace(value); !ok {
				continue
			}
			for _, mark := range []string{" #", "\t#", " ;", "\t;"} { // what is behind is a remark
				value, _, _ = strings.Cut(value, mark)
			}
			into[strings.ToLower(strings.TrimSpace(key))] = strings.TrimSpace(value)
		}
	}
	return all
}
