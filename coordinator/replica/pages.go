package replica

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"runtime/debug"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// lockWait is how long to wait for another process to let go of the store.
const lockWait = time.Second

// guarded turns a panic or a bad memory access while reading a damaged store
// (bbolt maps the file into memory) into an error.
func guarded(f func() error) (err error) {
	before := debug.SetPanicOnFault(true)
	defer debug.SetPanicOnFault(before)
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: reading it failed: %v", ErrDamaged, p)
		}
	}()
	return f()
}

// verifyPages checks a bbolt file from outside, before anything is written to
// it: both meta pages, that every page is reached once or free, and the order
// of keys.
func verifyPages(path string) error {
	if err := verifyMetas(path); err != nil {
		return err
	}
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true, PreLoadFreelist: true, Timeout: lockWait})
	if errors.Is(err, berrors.ErrTimeout) {
		return fmt.Errorf("%w: %s is in use by another process", ErrDirectory, path)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	defer func() { _ = db.Close() }() // nothing was written
	return db.View(func(tx *bbolt.Tx) error {
		// First in this goroutine, which survives a bad memory access.
		if err := tx.ForEach(touch); err != nil {
			return err
		}
		var first error
		for err := range tx.Check() { // to the end, or the checking goroutine would stay
			if first == nil {
				first = fmt.Errorf("%w: %w", ErrDamaged, err)
			}
		}
		return first
	})
}

func touch(_ []byte, b *bbolt.Bucket) error {
	return b.ForEach(func(_, v []byte) error {
		sum(v)
		return nil
	})
}

// Where a bbolt file keeps what verifyMetas reads: two pages, each with a
// header and a meta record that ends with a checksum of itself.
const (
	pageHeader   = 16
	metaMagic    = 0xED0CDAED
	metaPageSize = 8  // offset in the record
	metaSum      = 56 // offset in the record: FNV-1a of what is before
	metaSize     = 64
)

// verifyMetas wants both meta records intact. bbolt writes them in turn and
// takes the older one if the newer is broken: it would forget its last
// transaction, which may be a vote. (A record lies within one sector, so that
// a power cut leaves it old or new.)
func verifyMetas(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("open store: %w", err)
	}
	defer func() { _ = f.Close() }() // nothing was written
	pageSize := int64(os.Getpagesize())
	for page := range int64(2) {
		record := make([]byte, metaSize)
		if _, err := f.ReadAt(record, page*pageSize+pageHeader); err != nil {
			if errors.Is(err, io.EOF) {
				return fmt.Errorf("%w: the store is cut off", ErrDamaged)
			}
			return fmt.Errorf("read store: %w", err)
		}
		h := fnv.New64a()
		_, _ = h.Write(record[:metaSum]) // a hash never fails
		if binary.NativeEndian.Uint32(record) != metaMagic || binary.NativeEndian.Uint64(record[metaSum:]) != h.Sum64() ||
			int64(binary.NativeEndian.Uint32(record[metaPageSize:])) != pageSize {
			return fmt.Errorf("%w: meta page %d of the store does not fit its checksum", ErrDamaged, page)
		}
	}
	return nil
}
