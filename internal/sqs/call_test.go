package sqs

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

// asked is a request that a server has seen.
type asked struct {
	method, path, target, media, scope, signed, token string
	body                                              map[string]any
}

// recorder answers every request with an empty object.
func recorder(t *testing.T) (url string, next func() asked) {
	seen := make(chan asked, 100)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a := asked{method: r.Method, path: r.URL.Path, target: r.Header.Get("X-Amz-Target"), media: r.Header.Get("Content-Type"), token: r.Header.Get("X-Amz-Security-Token")}
		// AWS4-HMAC-SHA256 Credential=ID/DATE/REGION/sqs/aws4_request, SignedHeaders=…, Signature=…
		parts := strings.Split(r.Header.Get("Authorization"), ", ")
		if len(parts) == 3 {
			a.scope, a.signed = parts[0], parts[1]
		}
		_ = json.NewDecoder(r.Body).Decode(&a.body)
		seen <- a
		_, _ = io.WriteString(w, "{}")
	}))
	t.Cleanup(s.Close)
	return s.URL, func() asked { return <-seen }
}

// What is sent is what AWS's own client sends.
func TestSaysWhatTheSDKSays(t *testing.T) {
	url, next := recorder(t)
	keys := aws.Credentials{AccessKeyID: "AKID", SecretAccessKey: "secret", SessionToken: "session"}
	ours := newCaller(url+"/", "eu-west-1", fixed(keys))
	theirs := sqs.New(sqs.Options{Region: "eu-west-1", BaseEndpoint: &url, Credentials: fixed(keys)})
	queue, body := url+"/1/q", `{"a":"<é>\u0000"}`
	for _, c := range []struct {
		action string
		ask    any
		call   func(context.Context) error
	}{
		{
			"SendMessageBatch",
			batchAsk{queue, []entry{{Id: "0", MessageBody: &body, MessageAttributes: map[string]attribute{attributeID: {"String", "x"}}, MessageGroupId: "g", MessageDeduplicationId: "d"}}},
			func(ctx context.Context) error {
				_, err := theirs.SendMessageBatch(ctx, &sqs.SendMessageBatchInput{QueueUrl: &queue, Entries: []types.SendMessageBatchRequestEntry{{
					Id: aws.String("0"), MessageBody: &body, MessageGroupId: aws.String("g"), MessageDeduplicationId: aws.String("d"),
					MessageAttributes: map[string]types.MessageAttributeValue{attributeID: {DataType: aws.String("String"), StringValue: aws.String("x")}},
				}}})
				return err
			},
		},
		{
			"ReceiveMessage",
			receiveAsk{queue, 10, 10, 60, []string{attributeID}, []string{"SentTimestamp", "MessageGroupId"}},
			func(ctx context.Context) error {
				_, err := theirs.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{
					QueueUrl: &queue, MaxNumberOfMessages: 10, WaitTimeSeconds: 10, VisibilityTimeout: 60, MessageAttributeNames: []string{attributeID},
					MessageSystemAttributeNames: []types.MessageSystemAttributeName{"SentTimestamp", "MessageGroupId"},
				})
				return err
			},
		},
		{
			"DeleteMessageBatch",
			batchAsk{queue, []entry{{Id: "0", ReceiptHandle: "h"}}},
			func(ctx context.Context) error {
				_, err := theirs.DeleteMessageBatch(ctx, &sqs.DeleteMessageBatchInput{QueueUrl: &queue, Entries: []types.DeleteMessageBatchRequestEntry{{Id: aws.String("0"), ReceiptHandle: aws.String("h")}}})
				return err
			},
		},
		{
			"ChangeMessageVisibilityBatch",
			batchAsk{queue, []entry{{Id: "0", ReceiptHandle: "h", VisibilityTimeout: 60}}},
			func(ctx context.Context) error {
				_, err := theirs.ChangeMessageVisibilityBatch(ctx, &sqs.ChangeMessageVisibilityBatchInput{QueueUrl: &queue, Entries: []types.ChangeMessageVisibilityBatchRequestEntry{{Id: aws.String("0"), ReceiptHandle: aws.String("h"), VisibilityTimeout: 60}}})
				return err
			},
		},
		{
			"GetQueueAttributes",
			attributesAsk{queue, []string{"ApproximateNumberOfMessages"}},
			func(ctx context.Context) error {
				_, err := theirs.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{QueueUrl: &queue, AttributeNames: []types.QueueAttributeName{"ApproximateNumberOfMessages"}})
				return err
			},
		},
	} {
		t.Run(c.action, func(t *testing.T) {
			if err := ours.do(t.Context(), c.action, 0, c.ask, &struct{}{}); err != nil {
				t.Fatal(err)
			}
			got := next()
			if err := c.call(t.Context()); err != nil {
				t.Fatal(err)
			}
			want := next()
			for _, h := range []string{"amz-sdk-invocation-id;", "amz-sdk-request;", ";x-amzn-query-mode"} { // of the SDK itself
				want.signed = strings.Replace(want.signed, h, "", 1)
			}
			// At midnight the two have different dates.
			got.scope, want.scope = strings.Join(strings.Split(got.scope, "/")[2:], "/"), strings.Join(strings.Split(want.scope, "/")[2:], "/")
			if !reflect.DeepEqual(got, want) {
				t.Errorf("it says\n%+v\nand the SDK says\n%+v", got, want)
			}
		})
	}
}

// Answers that a server should not give.
func TestAnswers(t *testing.T) {
	for _, c := range []struct {
		name   string
		status int
		body   string
		times  int
		want   string
	}{
		{"busy", 503, `{"__type":"com.amazonaws.sqs#ServiceUnavailable"}`, 3, "ServiceUnavailable"},
		{"throttled", 400, `{"__type":"com.amazonaws.sqs#RequestThrottled","message":"slowly"}`, 3, "RequestThrottled: slowly"},
		{"no such queue", 400, `{"__type":"com.amazonaws.sqs#QueueDoesNotExist","Message":"The specified queue does not exist."}`, 1, "QueueDoesNotExist: The specified queue does not exist."},
		{"a page", 404, "<html>", 1, "the server answers with 404"},
		{"no JSON", 200, "<html>", 3, "the answer to ReceiveMessage is not JSON"},
		{"elsewhere", 307, "", 1, "the server answers with 307"},
		{"long", 400, `{"__type":"X","message":"` + strings.Repeat("é", 5000) + `"}`, 1, "X: é"},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := 0
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				n++
				w.Header().Set("Location", "http://127.0.0.1:1/")
				w.WriteHeader(c.status)
				_, _ = io.WriteString(w, c.body)
			}))
			client := newCaller(s.URL, "r", fixed(aws.Credentials{AccessKeyID: "a", SecretAccessKey: "b"}))
			client.pause = time.Microsecond
			err := client.do(t.Context(), "ReceiveMessage", 0, receiveAsk{}, &receiveAnswer{})
			s.Close()
			if err == nil || !strings.Contains(err.Error(), c.want) || len(err.Error()) > 500 {
				t.Errorf("%v, and not %s", err, c.want)
			}
			if n != c.times {
				t.Errorf("asked %d times, not %d", n, c.times)
			}
		})
	}
}

// Who asks, in the order of AWS's tools.
func TestWho(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	files := map[string]string{
		"AWS_CONFIG_FILE":             write("config", "[default]\nregion = eu-north-1\n[profile  sso]\nsso_session = us\n[profile made]\ncredential_process = printf '%s' '{\"Version\":1,\"AccessKeyId\":\"made\",\"SecretAccessKey\":\"s\"}'\n[profile none]\nregion=x\n"),
		"AWS_SHARED_CREDENTIALS_FILE": write("credentials", "# keys\n[default]\naws_access_key_id = file  # mine\naws_secret_access_key=s\n  nested = 1\n[two]\nAWS_ACCESS_KEY_ID=two\naws_secret_access_key = a=b\naws_session_token = t\n"),
		"AWS_EC2_METADATA_DISABLED":   "true",
	}
	keys := map[string]string{"AWS_ACCESS_KEY_ID": "env", "AWS_SECRET_ACCESS_KEY": "s", "AWS_SESSION_TOKEN": "t"}
	token := write("token", "jwt\n")
	agent := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost { // it is STS
			if r.FormValue("WebIdentityToken") != "jwt" || r.FormValue("RoleArn") != "arn:role" || r.FormValue("Action") != "AssumeRoleWithWebIdentity" {
				w.WriteHeader(403)
				_, _ = io.WriteString(w, `<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Code>AccessDenied</Code><Message>Not this role</Message></Error></ErrorResponse>`)
				return
			}
			_, _ = io.WriteString(w, `<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>pod</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`)
			return
		}
		if r.Header.Get("Authorization") != "secret" {
			w.WriteHeader(401)
			return
		}
		_, _ = io.WriteString(w, `{"AccessKeyId":"container","SecretAccessKey":"s","Token":"t","Expiration":"2099-01-01T00:00:00Z"}`)
	}))
	defer agent.Close()
	pod := map[string]string{"AWS_WEB_IDENTITY_TOKEN_FILE": token, "AWS_ROLE_ARN": "arn:role", "AWS_ENDPOINT_URL_STS": agent.URL}
	inside := map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": agent.URL, "AWS_CONTAINER_AUTHORIZATION_TOKEN": "secret"}
	nofile := map[string]string{"AWS_CONFIG_FILE": dir + "/no", "AWS_SHARED_CREDENTIALS_FILE": dir + "/no"}
	for _, c := range []struct {
		name string
		env  []map[string]string
		want string // the id of the key, or a part of the mistake
	}{
		{"environment", []map[string]string{files, keys, pod, inside}, "env"},
		{"pod", []map[string]string{files, pod, inside}, "pod"},
		{"pod of another role", []map[string]string{files, pod, {"AWS_ROLE_ARN": "arn:other"}}, "AccessDenied: Not this role"},
		{"file", []map[string]string{files, inside}, "file"},
		{"container", []map[string]string{files, nofile, inside}, "container"},
		{"container far away", []map[string]string{files, nofile, {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://192.0.2.1/x"}}, "neither loopback nor an agent's address"},
		{"profile", []map[string]string{files, keys, {"AWS_PROFILE": "two"}}, "two"},
		{"command", []map[string]string{files, {"AWS_PROFILE": "made"}}, "made"},
		{"sign-on", []map[string]string{files, {"AWS_PROFILE": "sso"}}, "credential_process = aws configure export-credentials --profile sso"},
		{"no such profile", []map[string]string{files, {"AWS_PROFILE": "three"}}, `no profile "three"`},
		{"empty profile", []map[string]string{files, {"AWS_PROFILE": "none"}}, `the profile "none" has no keys`},
		{"nobody", []map[string]string{files, nofile}, "who asks is not known to AWS"},
	} {
		t.Run(c.name, func(t *testing.T) {
			env := map[string]string{}
			for _, m := range c.env {
				for k, v := range m {
					env[k] = v
				}
			}
			t.Setenv("AWS_EC2_METADATA_DISABLED", "true") // the SDK reads it itself
			url, _ := recorder(t)
			conf := Config{Queue: url + "/1/q", Region: "eu-west-1"}
			client, err := conf.connect(func(name string) string { return env[name] })
			if err == nil {
				err = client.do(t.Context(), "GetQueueAttributes", 0, attributesAsk{}, &attributesAnswer{})
			}
			if err != nil {
				if !strings.Contains(err.Error(), c.want) || !errors.Is(err, errWho) {
					t.Errorf("%v, and not %s", err, c.want)
				}
				return
			}
			if got, err := client.who.Retrieve(t.Context()); err != nil || got.AccessKeyID != c.want || strings.Contains(got.AccessKeyID, " ") {
				t.Errorf("%q asks (%v), not %q", got.AccessKeyID, err, c.want)
			}
		})
	}
	conf := Config{Queue: "https://sqs.example.org/1/q"}
	if _, err := conf.connect(func(name string) string { return files[name] }); err != nil || conf.Region != "eu-north-1" {
		t.Errorf("the region of the profile is %q (%v)", conf.Region, err)
	}
}

// Where a queue is asked.
func TestEndpoint(t *testing.T) {
	for _, c := range []struct{ queue, region, endpoint, env, want string }{
		{"https://sqs.eu-west-1.amazonaws.com/1/q", "", "", "", "https://sqs.eu-west-1.amazonaws.com/"},
		{"https://sqs.cn-north-1.amazonaws.com.cn/1/q", "", "", "", "https://sqs.cn-north-1.amazonaws.com.cn/"},
		{"https://eu-west-1.queue.amazonaws.com/1/q", "eu-west-1", "", "", "https://sqs.eu-west-1.amazonaws.com/"},
		{"http://127.0.0.1:9324/1/q", "x", "", "", "http://127.0.0.1:9324/"},
		{"https://sqs.eu-west-1.amazonaws.com/1/q", "", "http://127.0.0.1:1", "http://127.0.0.1:2", "http://127.0.0.1:1/"},
		{"https://sqs.eu-west-1.amazonaws.com/1/q", "", "", "http://127.0.0.1:2/", "http://127.0.0.1:2/"},
	} {
		conf := Config{Queue: c.queue, Region: c.region, Endpoint: c.endpoint}
		got, err := conf.connect(func(name string) string {
			return map[string]string{"AWS_ENDPOINT_URL": c.env, "AWS_CONFIG_FILE": "/none", "AWS_SHARED_CREDENTIALS_FILE": "/none"}[name]
		})
		if err != nil || got.url != c.want {
			t.Errorf("%+v is asked at %+v, %v", c, got, err)
		}
	}
}

func FuzzProfile(f *testing.F) {
	f.Add("[default]\naws_access_key_id = a # b\n")
	f.Add("[profile  x]\n=\n==\n[\n]\n")
	f.Fuzz(func(_ *testing.T, text string) { sections(text) })
}
