package nats

import (
	"context"
	"errors"
	"fmt"

	client "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/ipwarden/ipwarden/internal/worker"
)

// Write publishes events in their order.
func (o *Output) Write(ctx context.Context, events []worker.Event) (refused []worker.Refusal, err error) {
	if err := o.make(ctx); err != nil {
		return nil, err
	}
	futures := make([]jetstream.PubAckFuture, 0, min(len(events), atOnce))
	for first := 0; first < len(events); first += atOnce {
		part := events[first:min(first+atOnce, len(events))]
		futures = futures[:0]
		var failed error
		for i := range part {
			e := &part[i]
			subject, header := o.cfg.Subject, client.Header{IDHeader: {e.ID}}
			if o.cfg.Back {
				subject = e.Origin
			} else {
				// A stream can have several subjects, and an event come to each.
				header[jetstream.MsgIDHeader] = []string{subject + " " + e.ID}
			}
			f, err := o.js.PublishMsgAsync(&client.Msg{Subject: subject, Header: header, Data: e.Value}, jetstream.WithRetryAttempts(0))
			if tooLarge(err) {
				refused = append(refused, worker.Refusal{Index: first + i, Reason: err.Error()})
				err, f = nil, nil
			}
			if err != nil {
				failed = err
				break // what follows would be out of order
			}
			futures = append(futures, f)
		}
		for i, f := range futures {
			if f == nil {
				continue
			}
			select {
			case <-f.Ok():
			case err := <-f.Err():
				if tooLarge(err) {
					refused = append(refused, worker.Refusal{Index: first + i, Reason: err.Error()})
				} else {
					failed = errors.Join(failed, err)
				}
			case <-ctx.Done():
				failed = ctx.Err()
			}
			if failed != nil {
				break
			}
		}
		if failed != nil {
			if errors.Is(failed, jetstream.ErrNoStreamResponse) {
				failed = fmt.Errorf("no stream takes the subject %s: %w", o.cfg.Subject, failed)
			}
			o.made = o.cfg.Stream == ""
			return nil, fmt.Errorf("nats: %w", failed)
		}
	}
	return refused, nil
}

// tooLarge: no attempt will help.
func tooLarge(err error) bool {
	var api *jetstream.APIError
	return errors.Is(err, client.ErrMaxPayload) || errors.As(err, &api) && api.ErrorCode == 10054 // JSStreamMessageExceedsMaximumErr
}

// make makes the stream.
func (o *Output) make(ctx context.Context) error {
	if o.made {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, askFor)
	defer cancel()
	_, err := o.js.CreateStream(ctx, jetstream.StreamConfig{
		Name: o.cfg.Stream, Subjects: []string{o.cfg.Subject}, Storage: jetstream.FileStorage, Replicas: o.c.c.Replicas,
		Description: "ipwarden: events of a worker",
	})
	if err != nil && !errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
		return fmt.Errorf("nats: the stream %s cannot be made: %w", o.cfg.Stream, err)
	}
	o.made = true
	return nil
}

// Close ends the connection.
func (o *Output) Close() error {
	o.c.Close()
	return nil
}
