package nats

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	client "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/ipwarden/ipwarden/internal/usage"
)

// Config says which server is spoken to.
type Config struct {
	// Server is one in this process. Default: URL.
	Server *Server
	// URL is of another: "nats://host:4222" or "tls://host:4222", several with commas
	// between them.
	URL string
	// User and Password, or CredentialsFile, say who connects. Default: what the URL says.
	User, Password  string
	CredentialsFile string
	TLS             *tls.Config // default: the system's, for tls://
	// Keep is how long batches stay in a stream: a region that is away for longer does
	// not hear of them. Default: 7 days. MaxBytes is how much stays; a stream that is
	// full takes no batches, and they wait in the spool. Default: 4 GiB.
	Keep     time.Duration
	MaxBytes int64
	Replicas int // of a stream, on a cluster. Default: 1
}

// Conn is a connection; it is made again whenever it is lost.
type Conn struct {
	c  Config
	nc *client.Conn
	js jetstream.JetStream
}

// Connect returns a connection when the server has answered, or after two seconds
// without: one that is away is tried again and again.
func Connect(c Config) (*Conn, error) {
	if c.Keep == 0 {
		c.Keep = 7 * 24 * time.Hour
	}
	if c.MaxBytes == 0 {
		c.MaxBytes = 4 << 30
	}
	if c.Replicas == 0 {
		c.Replicas = 1
	}
	options := []client.Option{
		client.Name("ipwarden"), client.MaxReconnects(-1), client.RetryOnFailedConnect(true),
		client.ReconnectWait(100 * time.Millisecond), client.ReconnectJitter(100*time.Millisecond, 200*time.Millisecond),
		client.Timeout(2 * time.Second), client.PingInterval(time.Second), client.MaxPingsOutstanding(2),
		// What could not be sent is not kept here: the spool has it.
		client.ReconnectBufSize(-1),
	}
	if c.Server != nil {
		options = append(options, client.InProcessServer(c.Server.s))
		if c.User == "" {
			c.User, c.Password = c.Server.user, c.Server.password
		}
	}
	if c.User != "" {
		options = append(options, client.UserInfo(c.User, c.Password))
	}
	if c.CredentialsFile != "" {
		options = append(options, client.UserCredentials(c.CredentialsFile))
	}
	if c.TLS != nil {
		options = append(options, client.Secure(c.TLS))
	}
	nc, err := client.Connect(c.URL, options...)
	if err != nil {
		return nil, fmt.Errorf("nats: %w", err) // of the options: it does not wait for the server
	}
	js, err := jetstream.New(nc)
	if err != nil {
		nc.Close()
		return nil, err
	}
	return &Conn{c, nc, js}, nil
}

// Close ends the connection.
func (c *Conn) Close() { c.nc.Close() }

// Connected says whether the server is there now.
func (c *Conn) Connected() bool { return c.nc.IsConnected() }

// token is a region's name as a part of a subject.
func token(region string) string {
	if region == "" {
		return "default"
	}
	return strings.ReplaceAll(region, ".", "_")
}

const leasePrefix = "ipwarden.lease."

// leaseQuestion is what one node asks.
type leaseQuestion struct {
	Node    uint64              `json:"node"`
	Reports []usage.LeaseReport `json:"reports"`
}

// mostReports bounds a question, and what is read of one.
const mostReports = 2000

// GiveLeases answers questions for a region's leases until the connection is closed.
func (c *Conn) GiveLeases(region string, grant func(node uint64, reports []usage.LeaseReport) []usage.LeaseGrant) error {
	_, err := c.nc.Subscribe(leasePrefix+token(region), func(m *client.Msg) {
		var q leaseQuestion
		if json.Unmarshal(m.Data, &q) != nil || len(q.Reports) > mostReports {
			return // it is not from a node of ours, or from one of another version
		}
		answer, err := json.Marshal(grant(q.Node, q.Reports))
		if err == nil {
			_ = m.Respond(answer) // who asks asks again
		}
	})
	return err
}

// AskLeases asks the lessor of a region.
func (c *Conn) AskLeases(ctx context.Context, region string, node uint64, reports []usage.LeaseReport) ([]usage.LeaseGrant, error) {
	var all []usage.LeaseGrant
	for len(reports) > 0 {
		part := reports[:min(len(reports), mostReports)]
		reports = reports[len(part):]
		question, err := json.Marshal(leaseQuestion{node, part})
		if err != nil {
			return nil, err
		}
		m, err := c.nc.RequestWithContext(ctx, leasePrefix+token(region), question)
		if err != nil {
			return nil, fmt.Errorf("nats: the lessor of %q: %w", region, err)
		}
		var grants []usage.LeaseGrant
		if err := json.Unmarshal(m.Data, &grants); err != nil || len(grants) != len(part) {
			return nil, errors.New("nats: a lessor's answer cannot be read")
		}
		all = append(all, grants...)
	}
	return all, nil
}
