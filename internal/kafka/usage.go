package kafka

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// UsageConfig says which brokers carry usage.
type UsageConfig struct {
	// URL is of the brokers to begin with: "kafka://host:9092,host:9092", or
	// "kafka+tls://…". With a user, ?sasl= says how it signs in: scram-sha-512 (the
	// default), scram-sha-256 or plain.
	URL            string
	User, Password string      // default: what the URL says
	TLS            *tls.Config // default: the system's, for kafka+tls://
	// Keep is how long batches stay in a topic that is made: a region that is away for
	// longer does not hear of them. Default: 7 days.
	Keep time.Duration
	// Replicas is of topics that are made. Default: what the brokers say.
	Replicas int
}

// UsageConn is what usage needs of some brokers; connections are made as they are
// needed, and again whenever they are lost.
type UsageConn struct {
	c       UsageConfig
	options []kgo.Opt
	client  *kgo.Client // appends and asks; who reads has one of its own

	mu      sync.Mutex
	askers  map[string]*asker // guarded by mu, by region
	closed  bool              // guarded by mu
	ctx     context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup
}

// Schemes of URLs that ConnectUsage takes.
const (
	scheme    = "kafka"
	schemeTLS = "kafka+tls"
)

// IsURL reports whether a URL is for this package.
func IsURL(s string) bool {
	return strings.HasPrefix(s, scheme+"://") || strings.HasPrefix(s, schemeTLS+"://")
}

// ConnectUsage returns a connection at once: brokers that are away are tried again and
// again.
func ConnectUsage(c UsageConfig) (*UsageConn, error) {
	if c.Keep == 0 {
		c.Keep = 7 * 24 * time.Hour
	}
	if c.Replicas == 0 {
		c.Replicas = -1
	}
	options, err := c.options()
	if err != nil {
		return nil, fmt.Errorf("kafka: %w", err)
	}
	client, err := kgo.NewClient(append(options,
		kgo.RequiredAcks(kgo.AllISRAcks()), kgo.ProducerLinger(0), kgo.ProducerBatchMaxBytes(maxRecord),
		// Readers take each batch once, so a repeated one does no harm; and one that is
		// given up is given up.
		kgo.DisableIdempotentWrite(), kgo.MaxProduceRequestsInflightPerBroker(1),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.UnknownTopicRetries(0), kgo.RecordRetries(2),
		kgo.ProduceRequestTimeout(2*time.Second),
		kgo.ProducerBatchCompression(kgo.ZstdCompression(), kgo.NoCompression()),
	)...)
	if err != nil {
		return nil, fmt.Errorf("kafka: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	return &UsageConn{c: c, options: options, client: client, askers: map[string]*asker{}, ctx: ctx, cancel: cancel}, nil
}

func (c *UsageConfig) options() ([]kgo.Opt, error) {
	u, err := url.Parse(c.URL)
	if err != nil {
		err = errors.Unwrap(err) // the URL may have a password
	}
	if err != nil || !IsURL(c.URL) || u.Host == "" || u.Path != "" && u.Path != "/" {
		return nil, errors.Join(errors.New("this is no URL of brokers; one is such as kafka://kafka.example.com:9092 or kafka+tls://a.example.com:9093,b.example.com:9093"), err)
	}
	options := []kgo.Opt{
		kgo.SeedBrokers(strings.Split(u.Host, ",")...), kgo.ClientID("ipwarden"),
		kgo.DialTimeout(2 * time.Second), kgo.RequestTimeoutOverhead(2 * time.Second), kgo.RetryTimeout(2 * time.Second),
		kgo.MetadataMinAge(100 * time.Millisecond), kgo.MetadataMaxAge(10 * time.Second),
	}
	if u.Scheme == schemeTLS {
		conf := c.TLS
		if conf == nil {
			conf = &tls.Config{MinVersion: tls.VersionTLS12}
		}
		options = append(options, kgo.DialTLSConfig(conf.Clone()))
	}
	user, password := c.User, c.Password
	if user == "" {
		user = u.User.Username()
		password, _ = u.User.Password()
	}
	how := strings.ToLower(u.Query().Get("sasl"))
	if user == "" {
		if how != "" {
			return nil, errors.New("?sasl= says how a user signs in, and there is none")
		}
		return options, nil
	}
	var mechanism sasl.Mechanism
	switch how {
	case "", "scram-sha-512":
		mechanism = scram.Auth{User: user, Pass: password}.AsSha512Mechanism()
	case "scram-sha-256":
		mechanism = scram.Auth{User: user, Pass: password}.AsSha256Mechanism()
	case "plain":
		mechanism = plain.Auth{User: user, Pass: password}.AsMechanism()
	default:
		return nil, fmt.Errorf("?sasl=%.20s is not known: it is scram-sha-512, scram-sha-256 or plain", how)
	}
	return append(options, kgo.SASL(mechanism)), nil
}

// Close ends the connection.
func (c *UsageConn) Close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.cancel()
	c.running.Wait()
	c.client.Close()
}

// maxRecord is how large a record may be: a batch, and what is round it.
const maxRecord = 2 << 20

// name is a region's part of the name of a topic.
func name(region string) string {
	if region == "" {
		return "default"
	}
	return region
}

// makeTopic makes a topic of one partition, unless it is there.
func (c *UsageConn) makeTopic(ctx context.Context, topic string, keep time.Duration) error {
	ask := kmsg.NewPtrCreateTopicsRequest()
	ask.TimeoutMillis = 2000
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = topic, 1, int16(c.c.Replicas)
	for _, conf := range [...][2]string{
		{"cleanup.policy", "delete"},
		{"retention.ms", fmt.Sprint(keep.Milliseconds())},
		{"max.message.bytes", fmt.Sprint(maxRecord)},
	} {
		value := conf[1]
		t.Configs = append(t.Configs, kmsg.CreateTopicsRequestTopicConfig{Name: conf[0], Value: &value})
	}
	ask.Topics = append(ask.Topics, t)
	answer, err := ask.RequestWith(ctx, c.client)
	if err != nil {
		return err
	}
	for _, t := range answer.Topics {
		// One that is there has other bounds: its operator's business.
		if err := kerr.ErrorForCode(t.ErrorCode); err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
			return fmt.Errorf("the topic %s cannot be made: %w", topic, err)
		}
	}
	return nil
}

// span asks which offsets a topic has: from first up to before end. A topic that is
// not there is kerr.UnknownTopicOrPartition.
func (c *UsageConn) span(ctx context.Context, client *kgo.Client, topic string) (first, end int64, err error) {
	ask := kmsg.NewPtrMetadataRequest()
	ask.AllowAutoTopicCreation = false
	mt := kmsg.NewMetadataRequestTopic()
	mt.Topic = &topic
	ask.Topics = append(ask.Topics, mt)
	answer, err := ask.RequestWith(ctx, client)
	if err != nil {
		return 0, 0, err
	}
	for _, t := range answer.Topics {
		if err := kerr.ErrorForCode(t.ErrorCode); err != nil {
			return 0, 0, err
		}
		if len(t.Partitions) != 1 {
			return 0, 0, fmt.Errorf("the topic %s has %d partitions, whose batches come in no order: it must have one", topic, len(t.Partitions))
		}
	}
	for i, when := range [...]int64{-2, -1} { // the earliest, the latest
		offset, err := c.offset(ctx, client, topic, when)
		if err != nil {
			return 0, 0, err
		}
		if i == 0 {
			first = offset
		} else {
			end = offset
		}
	}
	return first, end, nil
}

func (c *UsageConn) offset(ctx context.Context, client *kgo.Client, topic string, when int64) (int64, error) {
	ask := kmsg.NewPtrListOffsetsRequest()
	ask.ReplicaID = -1
	t := kmsg.NewListOffsetsRequestTopic()
	t.Topic = topic
	p := kmsg.NewListOffsetsRequestTopicPartition()
	p.Timestamp = when
	t.Partitions = append(t.Partitions, p)
	ask.Topics = append(ask.Topics, t)
	answer, err := ask.RequestWith(ctx, client)
	if err != nil {
		return 0, err
	}
	for _, t := range answer.Topics {
		for _, p := range t.Partitions {
			return p.Offset, kerr.ErrorForCode(p.ErrorCode)
		}
	}
	return 0, errors.New("the brokers do not say what the topic has")
}
