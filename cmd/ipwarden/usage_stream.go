package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"sync"

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
	region         string
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

// connectAll connects to all streams at once: each may be far away, or cut off, and a
// start waits for the slowest alone. What is returned with an error is to be closed.
func connectAll(dials []streamDial, connect func(streamDial) (streamConn, error)) (conns []streamConn, err error) {
	all, errs := make([]streamConn, len(dials)), make([]error, len(dials))
	var group sync.WaitGroup
	for i, d := range dials {
		group.Go(func() {
			if all[i], errs[i] = connect(d); errs[i] != nil {
				all[i], errs[i] = nil, fmt.Errorf("the stream of region %s: %w", d.region, errs[i])
			}
		})
	}
	group.Wait()
	for _, conn := range all {
		if conn != nil {
			conns = append(conns, conn)
		}
	}
	return conns, errors.Join(errs...)
}
