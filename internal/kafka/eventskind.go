package kafka

import (
	"errors"
	"time"

	"github.com/ipwarden/ipwarden/internal/worker"
)

// EventsKind is what configurations of workers say of Kafka.
func EventsKind() worker.Kind {
	return worker.Kind{
		Name: "kafka",
		Keys: []worker.Key{
			{Name: "url", Shape: worker.URL, Needed: true, Words: []string{scheme, schemeTLS}, Example: "kafka://127.0.0.1:9092"},
			{Name: "user", Shape: worker.Text, Example: "ipwarden"},
			{Name: "password_file", Shape: worker.Secret, Example: "/etc/ipwarden/kafka-password"},
			{Name: "topics", Side: worker.In, Shape: worker.List, Needed: true, Example: "[logins, orders]"},
			{Name: "group", Side: worker.In, Shape: worker.Text, Default: "ipwarden", Example: "ipwarden"},
			{Name: "session", Side: worker.In, Shape: worker.Duration, Default: "15s", Low: int64(time.Second), High: int64(30 * time.Minute), Example: "15s"},
			{Name: "instance", Side: worker.In, Shape: worker.Text, Example: "worker-1"},
			{Name: "topic", Side: worker.Out, Shape: worker.Text, Needed: true, Example: "enriched"},
			{Name: "max_bytes", Side: worker.Out, Shape: worker.Size, Default: "999000", Low: 1000, High: 64 << 20, Example: "999000"},
		},
		Check: func(v worker.Values, _ worker.Side) error {
			c := UsageConfig{URL: v.Text("url")}
			_, err := c.options()
			return err
		},
		Input: func(v worker.Values) (worker.Input, error) {
			c, err := EventsOf(v)
			if err != nil {
				return nil, err
			}
			return NewInput(c)
		},
		Output: func(v worker.Values) (worker.Output, error) {
			c, err := EventsOf(v)
			if err != nil {
				return nil, err
			}
			return NewOutput(c, v.Text("topic"), int(v.Int("max_bytes")))
		},
		Back: func(v worker.Values) (worker.Output, error) {
			c, err := EventsOf(v)
			if err != nil {
				return nil, err
			}
			return NewOutput(c, "", mostRecord)
		},
		Dead: func(v worker.Values) (worker.Input, error) {
			c, err := EventsOf(v)
			if err != nil {
				return nil, err
			}
			c.Topics, c.Group = []string{v.Text("topic")}, "ipwarden-replay"
			return NewInput(c)
		},
	}
}

// EventsOf is what a configuration says.
func EventsOf(v worker.Values) (EventsConfig, error) {
	password, err := v.Secret("password_file")
	if err == nil && password != "" && v.Text("user") == "" {
		err = errors.New("kafka: password_file is of a user, and there is none; such as user: ipwarden")
	}
	return EventsConfig{
		URL: v.Text("url"), User: v.Text("user"), Password: password,
		Topics: v.List("topics"), Group: v.Text("group"), Instance: v.Text("instance"), Session: v.Duration("session"),
	}, err
}
