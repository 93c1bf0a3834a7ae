package account

import (
	"context"
	"fmt"
)

// maxDocument bounds a document, bytes.
const maxDocument = 1 << 20

// Document returns a small text that the nodes of an installation share by its name;
// "" when there is none.
func (s *Service) Document(ctx context.Context, name string) (text string, err error) {
	err = s.store.Read(ctx, func(tx Tx) error {
		text, err = tx.Setting(documentSetting(name))
		return err
	})
	return text, err
}

// SwapDocument puts a text in the place of the one that was read, and reports whether
// it was still that one. log says for the log of the installation what it is about;
// nil writes nothing there.
func (s *Service) SwapDocument(ctx context.Context, name, before, after string, log *Entry) (swapped bool, err error) {
	if len(after) > maxDocument {
		return false, fmt.Errorf("the document %q has %d bytes; it has %d at most", name, len(after), maxDocument)
	}
	err = s.store.Write(ctx, func(tx Tx) error {
		text, err := tx.Setting(documentSetting(name))
		if err != nil || text != before {
			return err
		}
		swapped = true
		if err := tx.SetSetting(documentSetting(name), after); err != nil || log == nil {
			return err
		}
		log.At = s.moment()
		return tx.Log(log)
	})
	return swapped && err == nil, err
}

func documentSetting(name string) string { return "document:" + name }

// ActionShield is in the log when what is refused under attack changes.
const ActionShield = "shield.change"
