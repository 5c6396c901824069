//go:build linux

package main

import (
	"os"

	"fatvol/integration/vm/guestapi"
)

func startAppender(r *recorder) (round func(int), end func(), err error) {
	w := r.work
	acks, err := openAcks(w)
	if err != nil {
		return nil, nil, err
	}
	files := make([]*os.File, 0, w.Slots)
	end = func() {
		for slot, f := range files {
			r.do(guestapi.OpClose, slot, f.Close)
		}
		acks.close()
	}
	for slot := range w.Slots {
		f, err := os.OpenFile(w.FilePath(slot), os.O_WRONLY|os.O_APPEND, 0)
		if err != nil {
			end()
			return nil, nil, err
		}
		files = append(files, f)
		r.ledger = append(r.ledger, guestapi.LedgerSlot{Acked: 1, Synced: 1})
	}
	buf := make([]byte, w.Block)
	return func(n int) {
		slot := n % w.Slots
		at := &r.ledger[slot]
		guestapi.FillBlock(buf, w.File, uint64(slot), at.Acked+1)
		ok := r.do(guestapi.OpWrite, slot, func() error {
			n, err := files[slot].Write(buf)
			return full(n, len(buf), err)
		})
		if !ok {
			at.Tried = at.Acked + 1
			return
		}
		at.Acked, at.Tried = at.Acked+1, 0
		if w.FsyncEvery > 0 && n%w.FsyncEvery == w.FsyncEvery-1 && r.do(guestapi.OpFsync, slot, files[slot].Sync) {
			at.Synced = at.Acked
			acks.write(w, r.ledger)
		}
	}, end, nil
}
