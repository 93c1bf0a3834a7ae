package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"strings"

	"github.com/ipwarden/ipwarden/internal/kafka"
	"github.com/ipwarden/ipwarden/internal/nats"
	"github.com/ipwarden/ipwarden/internal/usage"
)

// streamConn is a connection to what carries usage.
type streamConn interface {
	stream(region string) usage.Stream
	AskLeases(ctx context.Context, region string, node uint64, reports []usage.LeaseReport) ([]usage.LeaseGrant, error)
	GiveLeases(region string, grant func(node uint64, reports []usage.LeaseReport) []usage.LeaseGrant) error
	Close()
}

type natsConn struct{ *nats.Conn }

func (c natsConn) stream(region string) usage.Stream { return c.Stream(region) }

type kafkaConn struct{ *kafka.UsageConn }

func (c kafkaConn) stream(region string) usage.Stream { return c.Stream(region) }

// streamDial says where a stream is.
type streamDial struct {
	server         *nats.Server // in this process; nil is at url
	url            string
	user, password string // of who has a password
	roots          *x509.CertPool
}

func (d streamDial) connect() (streamConn, error) {
	if d.server != nil {
		conn, err := nats.Connect(nats.Config{Server: d.server})
		return natsConn{conn}, err
	}
	if d.password == "" {
		d.user = ""
	}
	var conf *tls.Config
	if strings.HasPrefix(d.url, "tls://") || strings.HasPrefix(d.url, "kafka+tls://") {
		conf = &tls.Config{RootCAs: d.roots, MinVersion: tls.VersionTLS12}
	}
	if kafka.IsURL(d.url) {
		conn, err := kafka.ConnectUsage(kafka.UsageConfig{URL: d.url, User: d.user, Password: d.password, TLS: conf})
		return kafkaConn{conn}, err
	}
	conn, err := nats.Connect(nats.Config{URL: d.url, User: d.user, Password: d.password, TLS: conf})
	return natsConn{conn}, err
}
