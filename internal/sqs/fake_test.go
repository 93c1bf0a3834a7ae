package sqs

import (
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// fake is a stand-in for SQS that speaks its JSON protocol, and delivers again more
// often than the real one: what is not deleted in time, and some of what is.
type fake struct {
	*httptest.Server
	mu     sync.Mutex // guards the rest
	queues map[string][]*fakeMessage
	sent   map[string]bool // deduplication ids
	n      int
	twice  int // one of so many is delivered again although it was deleted; 0: none
	busy   int // one of so many requests is answered with 503; 0: none
	asked  int
}

type fakeMessage struct {
	id, body, group, event string
	handle                 string
	hidden                 time.Time
	deleted                bool
}

func newFake(t *testing.T) *fake {
	f := &fake{queues: map[string][]*fakeMessage{}, sent: map[string]bool{}}
	f.Server = httptest.NewServer(f)
	t.Cleanup(f.Close)
	t.Setenv("AWS_ACCESS_KEY_ID", "test")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "test")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	return f
}

func (f *fake) config(queue string) Config {
	return Config{Queue: f.URL + "/000000000000/" + queue, Region: "eu-west-1", Endpoint: f.URL}
}

type fakeAsk struct {
	QueueUrl            string
	MaxNumberOfMessages int
	WaitTimeSeconds     int
	VisibilityTimeout   int
	Entries             []struct {
		Id, MessageBody, ReceiptHandle, MessageGroupId, MessageDeduplicationId string
		VisibilityTimeout                                                      int
		MessageAttributes                                                      map[string]struct{ StringValue string }
	}
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var ask fakeAsk
	if err := json.NewDecoder(r.Body).Decode(&ask); err != nil {
		http.Error(w, err.Error(), 400)
		return
	}
	queue := ask.QueueUrl[strings.LastIndexByte(ask.QueueUrl, '/')+1:]
	f.mu.Lock()
	f.asked++
	busy := f.busy > 0 && f.asked%f.busy == 2
	f.mu.Unlock()
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	if busy {
		w.WriteHeader(503)
		fmt.Fprint(w, `{"__type":"ServiceUnavailable"}`)
		return
	}
	var answer any
	switch strings.TrimPrefix(r.Header.Get("X-Amz-Target"), "AmazonSQS.") {
	case "SendMessageBatch":
		answer = f.send(queue, &ask)
	case "ReceiveMessage":
		for end := time.Now().Add(time.Duration(ask.WaitTimeSeconds) * time.Second); ; {
			got := f.receive(queue, &ask)
			if len(got) > 0 || time.Now().After(end) || r.Context().Err() != nil {
				answer = map[string]any{"Messages": got}
				break
			}
			tick := time.NewTimer(5 * time.Millisecond) // it is what long polling is
			select {
			case <-tick.C:
			case <-r.Context().Done():
			}
		}
	case "DeleteMessageBatch", "ChangeMessageVisibilityBatch":
		answer = f.change(queue, &ask, strings.HasSuffix(r.Header.Get("X-Amz-Target"), "DeleteMessageBatch"))
	case "GetQueueAttributes":
		f.mu.Lock()
		n := 0
		for _, m := range f.queues[queue] {
			if !m.deleted {
				n++
			}
		}
		f.mu.Unlock()
		answer = map[string]any{"Attributes": map[string]string{"ApproximateNumberOfMessages": fmt.Sprint(n), "ApproximateNumberOfMessagesNotVisible": "0"}}
	default:
		http.Error(w, r.Header.Get("X-Amz-Target"), 400)
		return
	}
	_ = json.NewEncoder(w).Encode(answer)
}

func sum(s string) string {
	b := md5.Sum([]byte(s))
	return hex.EncodeToString(b[:])
}

func (f *fake) send(queue string, ask *fakeAsk) any {
	f.mu.Lock()
	defer f.mu.Unlock()
	var done, failed []map[string]any
	for _, e := range ask.Entries {
		if strings.Contains(e.MessageBody, "\x00") {
			failed = append(failed, map[string]any{"Id": e.Id, "Code": "InvalidMessageContents", "SenderFault": true})
			continue
		}
		f.n++
		m := &fakeMessage{id: fmt.Sprintf("m%d", f.n), body: e.MessageBody, group: e.MessageGroupId, event: e.MessageAttributes[attributeID].StringValue}
		if d := queue + e.MessageDeduplicationId; e.MessageDeduplicationId == "" || !f.sent[d] {
			f.sent[d] = true
			f.queues[queue] = append(f.queues[queue], m)
		}
		done = append(done, map[string]any{"Id": e.Id, "MessageId": m.id, "MD5OfMessageBody": sum(e.MessageBody)})
	}
	return map[string]any{"Successful": done, "Failed": failed}
}

func (f *fake) receive(queue string, ask *fakeAsk) (got []map[string]any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	held := map[string]bool{}
	for _, m := range f.queues[queue] {
		if m.deleted || len(got) == ask.MaxNumberOfMessages {
			continue
		}
		if now.Before(m.hidden) {
			held[m.group] = true
			continue
		}
		if m.group != "" && held[m.group] {
			continue // the order of a group
		}
		f.n++
		m.handle, m.hidden = fmt.Sprintf("h%d", f.n), now.Add(time.Duration(ask.VisibilityTimeout)*time.Second)
		one := map[string]any{"MessageId": m.id, "ReceiptHandle": m.handle, "Body": m.body, "MD5OfBody": sum(m.body), "Attributes": map[string]string{"SentTimestamp": "1795000000000"}}
		if m.event != "" {
			one["MessageAttributes"] = map[string]any{attributeID: map[string]string{"DataType": "String", "StringValue": m.event}}
		}
		got = append(got, one)
	}
	return got
}

func (f *fake) change(queue string, ask *fakeAsk, remove bool) any {
	f.mu.Lock()
	defer f.mu.Unlock()
	var done, failed []map[string]any
	for _, e := range ask.Entries {
		found := false
		for _, m := range f.queues[queue] {
			if m.handle != e.ReceiptHandle {
				continue
			}
			found = true
			m.hidden = time.Now().Add(time.Duration(e.VisibilityTimeout) * time.Second)
			if f.n++; remove && (f.twice == 0 || f.n%f.twice != 0) {
				m.deleted = true
			}
		}
		if found {
			done = append(done, map[string]any{"Id": e.Id})
		} else {
			failed = append(failed, map[string]any{"Id": e.Id, "Code": "ReceiptHandleIsInvalid", "SenderFault": true})
		}
	}
	return map[string]any{"Successful": done, "Failed": failed}
}

// bodies are those of a queue that are not deleted.
func (f *fake) bodies(queue string) (all []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, m := range f.queues[queue] {
		if !m.deleted {
			all = append(all, m.body)
		}
	}
	return all
}

// show makes what is hidden visible, as time does.
func (f *fake) show(queue string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, m := range f.queues[queue] {
		m.hidden = time.Time{}
	}
}
