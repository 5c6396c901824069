package fs

import (
	"encoding/binary"
	"fmt"
	"unsafe"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// The form of requests and replies, as far as it has to be known to move them: linux/fuse.h. What is in them is
// go-fuse's business.

// Opcodes of requests whose replies have a form of their own.
const (
	opLookup        = 1
	opGetAttr       = 3
	opSetAttr       = 4
	opSymlink       = 6
	opMknod         = 8
	opMkdir         = 9
	opLink          = 13
	opOpen          = 14
	opRead          = 15
	opWrite         = 16
	opStatFS        = 17
	opGetXAttr      = 22
	opListXAttr     = 23
	opInit          = 26
	opOpenDir       = 27
	opReadDir       = 28
	opGetLk         = 31
	opCreate        = 35
	opBmap          = 37
	opIoctl         = 39
	opPoll          = 40
	opReadDirPlus   = 44
	opLseek         = 46
	opCopyFileRange = 47
	opStatx         = 52
	opCopyRange64   = 53
)

// Sizes and offsets in bytes.
const (
	inHeaderSize  = int(unsafe.Sizeof(fuse.InHeader{}))
	writeInSize   = int(unsafe.Sizeof(fuse.WriteIn{}))
	outHeaderSize = int(unsafe.Sizeof(fuse.OutHeader{}))
	// maxOutSize is the most that a reply has besides its header and its payload.
	maxOutSize = int(unsafe.Sizeof(fuse.StatxOut{}))
)

// outSizes are what a reply has between its header and its payload.
var outSizes = [...]uintptr{
	opLookup: unsafe.Sizeof(fuse.EntryOut{}), opSymlink: unsafe.Sizeof(fuse.EntryOut{}), opMknod: unsafe.Sizeof(fuse.EntryOut{}),
	opMkdir: unsafe.Sizeof(fuse.EntryOut{}), opLink: unsafe.Sizeof(fuse.EntryOut{}),
	opGetAttr: unsafe.Sizeof(fuse.AttrOut{}), opSetAttr: unsafe.Sizeof(fuse.AttrOut{}),
	opOpen: unsafe.Sizeof(fuse.OpenOut{}), opOpenDir: unsafe.Sizeof(fuse.OpenOut{}), opCreate: unsafe.Sizeof(fuse.CreateOut{}),
	opWrite: unsafe.Sizeof(fuse.WriteOut{}), opCopyFileRange: unsafe.Sizeof(fuse.WriteOut{}),
	opCopyRange64: unsafe.Sizeof(fuse.CopyFileRangeOut{}),
	opStatFS:      unsafe.Sizeof(fuse.StatfsOut{}), opStatx: unsafe.Sizeof(fuse.StatxOut{}), opInit: unsafe.Sizeof(fuse.InitOut{}),
	opGetXAttr: unsafe.Sizeof(fuse.GetXAttrOut{}), opListXAttr: unsafe.Sizeof(fuse.GetXAttrOut{}),
	opGetLk: unsafe.Sizeof(fuse.LkOut{}), opIoctl: unsafe.Sizeof(fuse.IoctlOut{}), opLseek: unsafe.Sizeof(fuse.LseekOut{}),
	opBmap: 8, opPoll: 8, // struct fuse_bmap_out, struct fuse_poll_out
}

// A message is a request: a header, and what goes with its opcode.
type message []byte

func (m message) u32(at int) uint32 { return binary.NativeEndian.Uint32(m[at:]) }

func (m message) opcode() uint32 { return m.u32(4) }
func (m message) unique() uint64 { return binary.NativeEndian.Uint64(m[8:]) }

// init returns what the kernel says of itself in INIT.
func (m message) init() (*fuse.InitIn, error) {
	if len(m) < inHeaderSize+16 || m.opcode() != opInit {
		return nil, fmt.Errorf("the kernel begins with %d bytes that are no INIT", len(m))
	}
	return &fuse.InitIn{Major: m.u32(inHeaderSize), Minor: m.u32(inHeaderSize + 4), Flags: m.u32(inHeaderSize + 12)}, nil
}

// parts is the message as go-fuse takes it: data that is not to be copied apart.
func (m message) parts() [][]byte {
	if m.opcode() == opWrite && len(m) >= writeInSize {
		return [][]byte{m[:inHeaderSize], m[inHeaderSize:writeInSize], m[writeInSize:]}
	}
	return [][]byte{m}
}

// A reply is what go-fuse answers: a header, a structure of known size, and a payload that the request bounds.
type reply struct {
	header  [outHeaderSize]byte
	data    [maxOutSize]byte
	size    int // of data
	payload []byte
}

// prepare makes room for the reply to m. payload gives room for that many bytes, or nil.
func (r *reply) prepare(m message, payload func(n int) []byte) error {
	if len(m) < inHeaderSize {
		return fmt.Errorf("%d bytes: %w", len(m), errShort)
	}
	op := m.opcode()
	if op < uint32(len(outSizes)) {
		r.size = int(outSizes[op])
	}
	at := 0 // where the request says how much it wants
	switch op {
	case opRead, opReadDir, opReadDirPlus:
		at = inHeaderSize + 16 // fuse_read_in.size
	case opGetXAttr, opListXAttr:
		at = inHeaderSize // fuse_getxattr_in.size
	case opIoctl:
		at = inHeaderSize + 28 // fuse_ioctl_in.out_size
	default:
		return nil
	}
	if len(m) < at+4 {
		return fmt.Errorf("opcode %d, %d bytes: %w", op, len(m), errShort)
	}
	n := m.u32(at)
	if n == 0 {
		return nil
	}
	if op == opGetXAttr || op == opListXAttr {
		r.size = 0 // the value itself, instead of its size
	}
	if r.payload = payload(int(min(n, 1<<30))); r.payload == nil {
		return fmt.Errorf("opcode %d asks for %d bytes", op, n)
	}
	return nil
}

// parts is the room as go-fuse takes it.
func (r *reply) parts() [][]byte {
	parts := make([][]byte, 1, 3)
	parts[0] = r.header[:]
	if r.size > 0 {
		parts = append(parts, r.data[:r.size])
	}
	if r.payload != nil {
		parts = append(parts, r.payload)
	}
	return parts
}

// fail makes the reply an error.
func (r *reply) fail(m message, st fuse.Status) {
	binary.NativeEndian.PutUint32(r.header[0:], uint32(outHeaderSize))
	binary.NativeEndian.PutUint32(r.header[4:], uint32(-int32(st)))
	binary.NativeEndian.PutUint64(r.header[8:], m.unique())
}

// sent is what of the room go-fuse has used, or nil if there is to be no reply.
func (r *reply) sent() [][]byte {
	rest := int(binary.NativeEndian.Uint32(r.header[0:]))
	if rest == 0 {
		return nil
	}
	parts := r.parts()
	for i, p := range parts {
		parts[i] = p[:min(len(p), rest)]
		rest -= len(parts[i])
	}
	return parts
}

// status is what the reply says.
func (r *reply) status() fuse.Status {
	return fuse.Status(-int32(binary.NativeEndian.Uint32(r.header[4:])))
}
