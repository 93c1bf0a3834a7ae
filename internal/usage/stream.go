package usage

import "context"

// A Sealed is a batch on its way: bytes that the stream does not read, and its name.
type Sealed struct {
	Node, Sequence uint64
	Data           []byte
}

// An Item is a batch as it comes out of a stream. One without Data says that there is
// nothing more just now: the stream is in touch.
type Item struct {
	Position uint64
	Data     []byte
}

// A Stream carries the batches of one region. The suite is in package usagetest.
type Stream interface {
	// Append puts a batch into the stream. Nil says that it is kept there, whatever
	// happens to this process. After an error it may be there or not, and is appended
	// again, perhaps by another process: the stream may drop what it has, and need not.
	Append(context.Context, Sealed) error

	// Read calls take with what stands after a position, in the stream's order, and then
	// with what comes, until take fails or ctx ends or the stream cannot be read any
	// more; it returns why. While nothing comes it calls take with an empty Item, twice a
	// second or oftener, as long as it knows that nothing came. A position that the
	// stream does not have, because it was made anew, is its beginning.
	Read(ctx context.Context, after uint64, take func(Item) error) error
}

// A Source is the stream of a region, as it is read from another.
type Source struct {
	Region string
	Stream Stream
}
