package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// eventRow is what a worker did with the events of a queue.
type eventRow struct {
	name    string
	events  int
	rounds  stats // events a second
	memory  stats // MiB, the most that was resident
	atLeast float64
}

// queue is a source and a destination of events, in this process.
type queue interface {
	fill(ctx context.Context, from, to int) error
	done(ctx context.Context) (int, error)
	// forget lets go of what has come out and of what it was made of, where the queue
	// would keep it in memory.
	forget(ctx context.Context) error
	config() string
	close()
}

// event is what is enriched: some 200 bytes.
func event(dst []byte, n int) []byte {
	return fmt.Appendf(dst[:0], `{"type":"login","id":"%08d","user":"user-%d","client":{"ip":"%d.%d.%d.%d","port":443},"user_agent":"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0","ok":true,"n":%d}`,
		n, n%9973, 1+n*7%222, n*13%256, n*31%256, n%256, n)
}

// The most that a worker may have resident, in MiB, whatever it works on.
const mostResident = 250

func runEvents(ctx context.Context, o *options, r *report, progress func(string, ...any)) error {
	dir, err := os.MkdirTemp(o.cache, "events-")
	if errors.Is(err, os.ErrNotExist) {
		if err = os.MkdirAll(o.cache, 0o700); err == nil {
			dir, err = os.MkdirTemp(o.cache, "events-")
		}
	}
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	program := filepath.Join(dir, "ipwarden")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", program, "./cmd/ipwarden")
	build.Dir = ".."
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("building ipwarden: %w\n%s", err, out)
	}
	n := o.events
	if n == 0 {
		if n = 500_000; o.quick {
			n = 30_000
		}
	}
	for _, k := range []struct {
		name    string
		atLeast float64
		open    func(dir string, n int) (queue, error)
	}{
		{"NATS JetStream, file storage, in and out", 30_000, openNATSQueue},
		{"Kafka (kfake), in and out", 100_000, openKafkaQueue},
	} {
		if !o.chosen(k.name) {
			continue
		}
		row := &eventRow{name: k.name, events: n, atLeast: k.atLeast}
		r.events = append(r.events, row)
		rounds := min(o.rounds, 3)
		if o.events > 1_000_000 {
			rounds = 1
		}
		for round := range rounds {
			progress("%s, round %d of %d", k.name, round+1, rounds)
			d := filepath.Join(dir, fmt.Sprint(len(r.events), "-", round))
			if err := os.Mkdir(d, 0o700); err != nil {
				return err
			}
			q, err := k.open(d, n)
			if err != nil {
				return err
			}
			err = row.round(ctx, program, d, q, n, progress)
			q.close()
			if err := errors.Join(err, os.RemoveAll(d)); err != nil {
				return fmt.Errorf("%s: %w", k.name, err)
			}
		}
	}
	return nil
}

// eventsAhead is how many events wait at most, when there are more than that: so that
// what is measured is the worker's memory, and the disk and the memory are enough.
const eventsAhead = 1_000_000

// round runs a worker on n events.
func (row *eventRow) round(ctx context.Context, program, dir string, q queue, n int, progress func(string, ...any)) error {
	filled := min(n, eventsAhead)
	if err := q.fill(ctx, 0, filled); err != nil {
		return err
	}
	config := filepath.Join(dir, "worker.yaml")
	if err := os.WriteFile(config, []byte(q.config()+"event: {ip: client.ip, key: user}\ndead_letters: {file: {path: "+filepath.Join(dir, "dead.jsonl")+"}}\n"), 0o600); err != nil {
		return err
	}
	runtime.GC()
	cmd := exec.CommandContext(ctx, program, "worker", "--config", config, "--data-dir", dir, "--log-level", "warn")
	var said strings.Builder
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		return err
	}
	defer func() {
		_ = cmd.Process.Kill() // it has ended, unless something went wrong
		_ = cmd.Wait()
	}()
	var began time.Time
	last, moved, first := 0, time.Now(), 0
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	told := time.Now()
	for last < n {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		done, err := q.done(ctx)
		if err != nil {
			return err
		}
		if done > last {
			if moved = time.Now(); last == 0 { // it has started: what follows is its speed
				began, first = moved, done
			}
			last = done
		}
		if time.Since(moved) > 2*time.Minute {
			return fmt.Errorf("nothing moves after %d of %d events: %s", last, n, said.String())
		}
		if more := min(n, last+eventsAhead); more-filled >= 100_000 || more == n && more > filled {
			if err := q.fill(ctx, filled, more); err != nil {
				return err
			}
			filled = more
			if err := q.forget(ctx); err != nil {
				return err
			}
		}
		if time.Since(told) > 15*time.Second {
			told = time.Now()
			progress("  %d events, %.0f a second, %.0f MiB", last, float64(last-first)/time.Since(began).Seconds(), resident(cmd.Process.Pid))
		}
	}
	row.rounds.add(float64(last-first) / moved.Sub(began).Seconds())
	row.memory.add(resident(cmd.Process.Pid))
	if info, err := os.Stat(filepath.Join(dir, "dead.jsonl")); err == nil && info.Size() > 0 {
		return errors.New("there are dead letters")
	}
	if last != n {
		return fmt.Errorf("%d events came out, of %d", last, n)
	}
	return cmd.Process.Signal(syscall.SIGTERM)
}

// resident is the most that a process had resident, in MiB.
func resident(pid int) float64 {
	kb, err := strconv.ParseFloat(strings.TrimSuffix(procLine(fmt.Sprintf("/proc/%d/status", pid), "VmHWM"), " kB"), 64)
	if err != nil {
		return 0
	}
	return kb / 1024
}

// natsQueue is a server with its streams on disk.
type natsQueue struct {
	server *natsserver.Server
	conn   *nats.Conn
	js     jetstream.JetStream
	addr   string
}

func openNATSQueue(dir string, n int) (queue, error) {
	s, err := natsserver.NewServer(&natsserver.Options{
		Host: "127.0.0.1", Port: natsserver.RANDOM_PORT, JetStream: true, StoreDir: filepath.Join(dir, "stream"), NoSigs: true, NoLog: true,
	})
	if err != nil {
		return nil, err
	}
	s.Start()
	if !s.ReadyForConnections(20 * time.Second) {
		return nil, errors.New("the NATS server does not start")
	}
	q := &natsQueue{server: s, addr: s.Addr().(*net.TCPAddr).String()}
	if q.conn, err = nats.Connect("nats://" + q.addr); err == nil {
		q.js, err = jetstream.New(q.conn, jetstream.WithPublishAsyncMaxPending(8192))
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	in := jetstream.StreamConfig{Name: "IN", Subjects: []string{"in"}, Storage: jetstream.FileStorage}
	out := jetstream.StreamConfig{Name: "OUT", Subjects: []string{"out"}, Storage: jetstream.FileStorage}
	if n > eventsAhead { // so that the disk is enough
		out.MaxMsgs, out.Discard = 100_000, jetstream.DiscardOld
	}
	if err == nil {
		_, err = q.js.CreateStream(ctx, in)
	}
	if err == nil {
		_, err = q.js.CreateStream(ctx, out)
	}
	return q, err
}

func (q *natsQueue) fill(ctx context.Context, from, to int) error {
	for i := from; i < to; i++ {
		if _, err := q.js.PublishAsync("in", event(nil, i), jetstream.WithStallWait(time.Minute)); err != nil {
			return err
		}
	}
	select {
	case <-q.js.PublishAsyncComplete():
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (q *natsQueue) done(ctx context.Context) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	s, err := q.js.Stream(ctx, "OUT")
	if err != nil {
		return 0, err
	}
	return int(s.CachedInfo().State.LastSeq), nil
}

func (q *natsQueue) forget(context.Context) error { return nil } // it is on the disk

func (q *natsQueue) config() string {
	return fmt.Sprintf("input: {nats: {url: 'nats://%s', stream: IN}}\noutputs: {out: {nats: {url: 'nats://%s', subject: out}}}\n", q.addr, q.addr)
}

func (q *natsQueue) close() {
	q.conn.Close()
	q.server.Shutdown()
	q.server.WaitForShutdown()
}

// kafkaQueue is a cluster in this process.
type kafkaQueue struct {
	cluster *kfake.Cluster
	client  *kgo.Client
}

const kafkaPartitions = 4

func openKafkaQueue(string, int) (queue, error) {
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(kafkaPartitions, "in", "out"))
	if err != nil {
		return nil, err
	}
	q := &kafkaQueue{cluster: c}
	q.client, err = kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.MaxBufferedRecords(100_000), kgo.ProducerBatchCompression(kgo.Lz4Compression()))
	return q, err
}

func (q *kafkaQueue) fill(ctx context.Context, from, to int) error {
	failed := make(chan error, 1)
	for i := from; i < to; i++ {
		q.client.Produce(ctx, &kgo.Record{Topic: "in", Key: strconv.AppendInt(nil, int64(i%9973), 10), Value: event(nil, i)}, func(_ *kgo.Record, err error) {
			if err != nil {
				select {
				case failed <- err:
				default:
				}
			}
		})
	}
	if err := q.client.Flush(ctx); err != nil {
		return err
	}
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}

func (q *kafkaQueue) done(ctx context.Context) (n int, err error) {
	ask := kmsg.NewPtrListOffsetsRequest()
	ask.ReplicaID = -1
	t := kmsg.NewListOffsetsRequestTopic()
	t.Topic = "out"
	for i := range kafkaPartitions {
		p := kmsg.NewListOffsetsRequestTopicPartition()
		p.Partition, p.Timestamp = int32(i), -1
		t.Partitions = append(t.Partitions, p)
	}
	ask.Topics = append(ask.Topics, t)
	answer, err := ask.RequestWith(ctx, q.client)
	if err != nil {
		return 0, err
	}
	for _, t := range answer.Topics {
		for _, p := range t.Partitions {
			n += int(p.Offset)
		}
	}
	return n, nil
}

// forget deletes what has come out, and what the group has committed: the cluster keeps
// everything in memory.
func (q *kafkaQueue) forget(ctx context.Context) error {
	fetch := kmsg.NewPtrOffsetFetchRequest()
	group := kmsg.NewOffsetFetchRequestGroup()
	group.Group = "ipwarden"
	of := kmsg.NewOffsetFetchRequestGroupTopic()
	of.Topic = "in"
	for i := range int32(kafkaPartitions) {
		of.Partitions = append(of.Partitions, i)
	}
	group.Topics = append(group.Topics, of)
	fetch.Groups = append(fetch.Groups, group)
	committed, err := fetch.RequestWith(ctx, q.client)
	if err != nil {
		return err
	}
	remove := kmsg.NewPtrDeleteRecordsRequest()
	remove.TimeoutMillis = 30_000
	for _, g := range committed.Groups {
		for _, t := range g.Topics {
			in := kmsg.NewDeleteRecordsRequestTopic()
			in.Topic = t.Topic
			for _, p := range t.Partitions {
				if p.Offset > 0 {
					in.Partitions = append(in.Partitions, kmsg.DeleteRecordsRequestTopicPartition{Partition: p.Partition, Offset: p.Offset})
				}
			}
			remove.Topics = append(remove.Topics, in)
		}
	}
	out := kmsg.NewDeleteRecordsRequestTopic()
	out.Topic = "out"
	for i := range int32(kafkaPartitions) {
		out.Partitions = append(out.Partitions, kmsg.DeleteRecordsRequestTopicPartition{Partition: i, Offset: -1}) // all
	}
	remove.Topics = append(remove.Topics, out)
	answer, err := remove.RequestWith(ctx, q.client)
	if err != nil {
		return err
	}
	for _, t := range answer.Topics {
		for _, p := range t.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return fmt.Errorf("deleting what is done of %s/%d: %w", t.Topic, p.Partition, err)
			}
		}
	}
	return nil
}

func (q *kafkaQueue) config() string {
	url := "kafka://" + strings.Join(q.cluster.ListenAddrs(), ",")
	return fmt.Sprintf("input: {kafka: {url: '%s', topics: [in]}}\noutputs: {out: {kafka: {url: '%s', topic: out}}}\nbatch: 5000\n", url, url)
}

func (q *kafkaQueue) close() {
	q.client.Close()
	q.cluster.Close()
}

func (r *report) writeEvents(b *strings.Builder) {
	b.WriteString("\n### Events\n\nEvents of some 200 bytes, enriched by `ipwarden worker` with the default fields; its servers run on the same cores. Median (least..most) of the rounds.\n\n| | events | events/s | at least | | MiB resident, the most | at most | |\n| --- | --- | --- | --- | --- | --- | --- | --- |\n")
	for _, row := range r.events {
		speed, memory := "met", "met"
		if row.rounds.median() < row.atLeast {
			speed = "**not met**"
		}
		if row.memory.max() > mostResident {
			memory = "**not met**"
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s | %s | %d | %s |\n", row.name, thousands(row.events), spread(row.rounds), figure(row.atLeast), speed, spread(row.memory), mostResident, memory)
	}
}
