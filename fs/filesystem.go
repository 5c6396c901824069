package fs

import (
	"math"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"

	"github.com/hanwen/go-fuse/v2/fuse"

	"fatvol/image/fat"
)

// fileSystem answers the kernel's requests with a volume. Every request runs on a goroutine of its
// own, and none of them holds a lock of this package while it is in the engine or in the kernel.
type fileSystem struct {
	vol *fat.Volume
	opt Options

	// Decided at mount.
	useEpochs  bool   // if the kernel has them
	usePrune   bool   // likewise
	ownChecks  bool   // we check permissions, not the kernel
	distrust   bool   // somebody may not traverse directories, and only we know
	serverUID  uint32 // who runs this process
	generation uint64 // tells the nodes of this mount from those of an earlier one, for NFS

	// Set by met, before the first request.
	kernel      notifier
	epochs      bool               // the kernel knows FUSE_NOTIFY_INC_EPOCH
	prunes      bool               // and FUSE_NOTIFY_PRUNE
	drops       bool               // it forgets a file that is not used when it has no name for it any more
	notifyEpoch func() fuse.Status // sends it
	covered     func() bool        // something is mounted inside of us

	nodes      nodeTable
	handles    table[*handle]
	scans      table[*scan]
	lastHandle atomic.Uint64
	pruning    atomic.Bool

	// closing is held shared while a handle is being closed, so that madeRoom can wait for the end.
	closing sync.RWMutex

	// background are the notifications under way.
	background sync.WaitGroup
	failures   failureLog
	traffic    traffic
}

func newFileSystem(vol *fat.Volume, opt Options) *fileSystem {
	opt.setDefaults(vol.Geometry())
	fs := &fileSystem{
		vol:        vol,
		opt:        opt,
		useEpochs:  true,
		usePrune:   true,
		ownChecks:  !opt.kernelChecks(),
		serverUID:  uint32(os.Geteuid()),
		generation: 1 + uint64(rand.Uint32N(math.MaxUint32)), // not the time, which some machines begin anew at each start
		nodes:      nodeTable{keep: opt.NFS == "nostale_ro", max: maxNodes},
	}
	fs.distrust = fs.ownChecks && opt.AllowOther && opt.DMask&0o111 != 0
	fs.nodes.t.put(fuse.FUSE_ROOT_ID, &node{Node: vol.Root()})
	return fs
}

func (fs *fileSystem) String() string { return fs.opt.Subtype }

// SetDebug has no effect: Options.Debug is decided at mount.
func (fs *fileSystem) SetDebug(bool) {}

// A notifier tells the kernel what it may not go on believing.
type notifier interface {
	InodeNotify(node uint64, off, n int64) fuse.Status
	EntryNotify(dir uint64, name string) fuse.Status
	PruneNotify(nodes []uint64) fuse.Status
}

// Init is called by a go-fuse that serves by itself.
func (fs *fileSystem) Init(s *fuse.Server) { fs.met(s, s.KernelSettings()) }

// met is called once the kernel has said what it can do, before it sends anything else.
func (fs *fileSystem) met(kernel notifier, can *fuse.InitIn) {
	fs.kernel = kernel
	fs.epochs = fs.useEpochs && fs.notifyEpoch != nil && can.SupportsVersion(7, 44)
	fs.prunes = fs.epochs && fs.usePrune && can.SupportsNotify(fuse.NOTIFY_PRUNE)
	fs.drops = fs.covered != nil // Linux
}

// OnUnmount is called after the last request. The kernel has forgotten everything without saying so.
func (fs *fileSystem) OnUnmount() {
	fs.background.Wait()
	for _, h := range fs.handles.drain() {
		h.close()
	}
	fs.nodes.clear()
}
