package fs

import (
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// newMessage is a request of n bytes.
func newMessage(opcode uint32, n int) message {
	m := make(message, n)
	binary.NativeEndian.PutUint32(m[0:], uint32(n))
	binary.NativeEndian.PutUint32(m[4:], opcode)
	binary.NativeEndian.PutUint64(m[8:], 4711)
	return m
}

// room is a payload for replies.
func room(n int) []byte {
	if n > maxWrite {
		return nil
	}
	return make([]byte, n)
}

// go-fuse and we agree on the form of every reply: it answers with an error where the room is not as it expects.
func TestReplyForm(t *testing.T) {
	proto := fuse.NewProtocolServer(fuse.NewDefaultRawFileSystem(), &fuse.MountOptions{DisableXAttrs: true})
	answer := func(m message) (fuse.Status, [][]byte) {
		var r reply
		if err := r.prepare(m, room); err != nil {
			t.Fatal(err)
		}
		_, st := proto.HandleRequest(m.parts(), r.parts())
		if !st.Ok() {
			r.fail(m, st)
		}
		return r.status(), r.sent()
	}
	for opcode := range uint32(80) {
		for _, size := range []uint32{0, 64} { // how much GETXATTR and its like ask for
			m := newMessage(opcode, 256)
			switch opcode {
			case opGetXAttr, opListXAttr:
				binary.NativeEndian.PutUint32(m[inHeaderSize:], size)
			case opIoctl:
				binary.NativeEndian.PutUint32(m[inHeaderSize+28:], size)
			case opInit:
				binary.NativeEndian.PutUint32(m[inHeaderSize:], 7)
				binary.NativeEndian.PutUint32(m[inHeaderSize+4:], 40)
			}
			st, sent := answer(m)
			if st == fuse.EIO {
				t.Errorf("opcode %d, size %d: go-fuse expects another form", opcode, size)
			}
			if sent == nil {
				continue
			}
			if got, want := binary.NativeEndian.Uint32(sent[0]), total(sent); got != want {
				t.Errorf("opcode %d: the header says %d bytes, there are %d", opcode, got, want)
			}
			if got := binary.NativeEndian.Uint64(sent[0][8:]); got != 4711 {
				t.Errorf("opcode %d: the reply is to %d", opcode, got)
			}
		}
	}
}

func total(parts [][]byte) (n uint32) {
	for _, p := range parts {
		n += uint32(len(p))
	}
	return n
}

// A message that is cut short, or asks for more than there can be, is an error and nothing worse.
func TestShortMessage(t *testing.T) {
	for opcode := range uint32(64) {
		for n := range 128 {
			m := newMessage(opcode, 128)[:n]
			var r reply
			if err := r.prepare(m, room); err == nil {
				if n < inHeaderSize {
					t.Errorf("opcode %d: %d bytes are taken for a request", opcode, n)
				}
				m.parts()
			}
		}
	}
	for _, opcode := range []uint32{opRead, opReadDir, opReadDirPlus, opGetXAttr, opListXAttr, opIoctl} {
		m := newMessage(opcode, 128)
		for i := inHeaderSize; i < len(m); i++ {
			m[i] = 0xff
		}
		if err := new(reply).prepare(m, room); err == nil {
			t.Errorf("opcode %d: 4 GiB are taken for a size", opcode)
		}
	}
	if _, err := newMessage(opInit, inHeaderSize).init(); err == nil {
		t.Error("an INIT without a body is taken")
	}
	if _, err := newMessage(opLookup, 256).init(); err == nil {
		t.Error("a LOOKUP is taken for INIT")
	}
}

// The reply is what go-fuse has put into its room, and an error has neither structure nor payload.
func TestReplySent(t *testing.T) {
	m := newMessage(opRead, 80)
	binary.NativeEndian.PutUint32(m[inHeaderSize+16:], 100)
	var r reply
	must(t, r.prepare(m, room))
	binary.NativeEndian.PutUint32(r.header[0:], uint32(outHeaderSize)+7)
	if got := fmt.Sprint(lengths(r.sent())); got != "[16 7]" {
		t.Errorf("a read of 7 bytes sends %s", got)
	}
	r.fail(m, fuse.EIO)
	if got := fmt.Sprint(lengths(r.sent())); got != "[16 0]" || r.status() != fuse.EIO {
		t.Errorf("EIO sends %s with %v", got, r.status())
	}
	if new(reply).sent() != nil {
		t.Error("a reply that was not given is sent")
	}
}

func lengths(parts [][]byte) (n []int) {
	for _, p := range parts {
		n = append(n, len(p))
	}
	return n
}
