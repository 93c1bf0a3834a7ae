package sqs

// What is said to a queue and what it answers, in the words of its JSON protocol.

type receiveAsk struct {
	QueueUrl                    string
	MaxNumberOfMessages         int
	WaitTimeSeconds             int
	VisibilityTimeout           int
	MessageAttributeNames       []string
	MessageSystemAttributeNames []string
}

type message struct {
	MessageId, ReceiptHandle, Body string
	Attributes                     map[string]string
	MessageAttributes              map[string]attribute
}

type attribute struct {
	DataType    string
	StringValue string
}

type receiveAnswer struct{ Messages []message }

// batchAsk is what is done with at most ten messages.
type batchAsk struct {
	QueueUrl string
	Entries  []entry
}

type entry struct {
	Id                     string
	ReceiptHandle          string               `json:",omitempty"`
	VisibilityTimeout      int                  `json:",omitempty"`
	MessageBody            *string              `json:",omitempty"`
	MessageAttributes      map[string]attribute `json:",omitempty"`
	MessageGroupId         string               `json:",omitempty"`
	MessageDeduplicationId string               `json:",omitempty"`
}

type batchAnswer struct {
	Failed []struct {
		Id, Code, Message string
		SenderFault       bool
	}
}

type attributesAsk struct {
	QueueUrl       string
	AttributeNames []string
}

type attributesAnswer struct{ Attributes map[string]string }
