package nats

import (
	"github.com/ipwarden/ipwarden/internal/worker"
)

// EventsKind is what configurations of workers say of JetStream.
func EventsKind() worker.Kind {
	return worker.Kind{
		Name: "nats",
		Keys: []worker.Key{
			{Name: "url", Shape: worker.URL, Needed: true, Words: []string{"nats", "tls"}, Example: "nats://127.0.0.1:4222"},
			{Name: "user", Shape: worker.Text, Example: "ipwarden"},
			{Name: "password_file", Shape: worker.Secret, Example: "/etc/ipwarden/nats-password"},
			{Name: "credentials_file", Shape: worker.Secret, Example: "/etc/ipwarden/nats.creds"},
			{Name: "stream", Side: worker.In, Shape: worker.Text, Needed: true, Example: "LOGINS"},
			{Name: "subject", Side: worker.In, Shape: worker.Text, Example: "logins.>"},
			{Name: "consumer", Side: worker.In, Shape: worker.Text, Default: "ipwarden", Example: "ipwarden"},
			{Name: "shared", Side: worker.In, Shape: worker.Truth},
			{Name: "subject", Side: worker.Out, Shape: worker.Text, Needed: true, Example: "enriched.logins"},
			{Name: "stream", Side: worker.Out, Shape: worker.Text, Example: "ENRICHED"},
		},
		Input: func(v worker.Values) (worker.Input, error) {
			c, err := connectEvents(v)
			if err != nil {
				return nil, err
			}
			return c.Input(InputConfig{Stream: v.Text("stream"), Subject: v.Text("subject"), Consumer: v.Text("consumer"), Shared: v.Truth("shared")}), nil
		},
		Output: func(v worker.Values) (worker.Output, error) {
			c, err := connectEvents(v)
			if err != nil {
				return nil, err
			}
			return c.Output(OutputConfig{Subject: v.Text("subject"), Stream: v.Text("stream")})
		},
		Back: func(v worker.Values) (worker.Output, error) {
			c, err := connectEvents(v)
			if err != nil {
				return nil, err
			}
			return c.Output(OutputConfig{Back: true})
		},
		Dead: func(v worker.Values) (worker.Input, error) {
			c, err := connectEvents(v)
			if err != nil {
				return nil, err
			}
			return c.Input(InputConfig{Stream: v.Text("stream"), Subject: v.Text("subject"), Consumer: "ipwarden-replay"}), nil
		},
	}
}

func connectEvents(v worker.Values) (*Conn, error) {
	password, err := v.Secret("password_file")
	if err != nil {
		return nil, err
	}
	return Connect(Config{URL: v.Text("url"), User: v.Text("user"), Password: password, CredentialsFile: v.Text("credentials_file")})
}
