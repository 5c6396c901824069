//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"fatvol/integration/vm/guestapi"
)

// acks is where a worker acknowledges what an fsync has covered; nil where nobody wants to know.
type acks struct {
	file   *os.File
	sector []byte
}

func openAcks(w guestapi.Work) (*acks, error) {
	if w.Acks == "" {
		return nil, nil
	}
	if w.Slots > guestapi.MaxAcked {
		return nil, fmt.Errorf("%d slots: at most %d can be acknowledged", w.Slots, guestapi.MaxAcked)
	}
	f, err := os.OpenFile(w.Acks, os.O_WRONLY|unix.O_DIRECT, 0)
	if err != nil {
		return nil, err
	}
	return &acks{f, alignedBuffer(guestapi.AckSize)}, nil
}

// write acknowledges. That it fails means that the stick is gone, or the power.
func (a *acks) write(w guestapi.Work, l guestapi.Ledger) {
	if a == nil {
		return
	}
	guestapi.FillAck(a.sector, w.File, l)
	_, _ = a.file.WriteAt(a.sector, guestapi.AckOffset+int64(w.File)*guestapi.AckSize)
}

func (a *acks) close() error {
	if a == nil {
		return nil
	}
	return a.file.Close()
}

// openAcked opens a worker's file or directory, and where it acknowledges.
func openAcked(w guestapi.Work, open func() (*os.File, error)) (f *os.File, a *acks, err error) {
	if a, err = openAcks(w); err != nil {
		return nil, nil, err
	}
	if f, err = open(); err != nil {
		return nil, nil, errors.Join(err, a.close())
	}
	return f, a, nil
}
