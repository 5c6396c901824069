package fs

import (
	"log/slog"
	"sync"
	"time"

	"fatvol/image/fat"
)

// Options are the choices of a mount that concern the kernel's side of it. The zero value is a
// read-write mount for the serving user alone, with every permission bit set, whose modes nobody
// checks but us. Each option means what the option of the same name means to Linux's vfat
// (Documentation/filesystems/vfat.rst).
type Options struct {
	// UID and GID own every file.
	UID, GID uint32
	// FMask and DMask are the permission bits taken away from 0777, of files and of directories.
	FMask, DMask uint32
	// AllowUTime says who besides the owner may set times: 020 the group, 002 everybody.
	AllowUTime uint32
	// Quiet: a chown or chmod that FAT cannot hold succeeds without effect, instead of EPERM.
	Quiet bool
	// ShowExec: only .EXE, .COM and .BAT files have the x bits that FMask leaves.
	ShowExec bool
	// SysImmutable: files with the system attribute cannot be changed, removed or renamed.
	SysImmutable bool
	// RODir: the read-only attribute of a directory takes its w bits away. Otherwise it is only
	// a flag for applications, as on Windows.
	RODir bool
	// NFS is "", "stale_rw" or "nostale_ro". If it is not empty, file handles are resolved as
	// knfsd wants it, and with nostale_ro nodes are remembered for the life of the mount.
	NFS string

	// Writeback lets the kernel acknowledge writes before we see them.
	Writeback bool
	// AllowOther opens the mount to users other than the serving one.
	AllowOther bool
	// DefaultPermissions has the kernel check modes. It checks by its own rules, which know
	// neither Quiet nor AllowUTime; where one of them grants more, we check instead of it. To check
	// a directory it asks for its attributes again after each change in it.
	DefaultPermissions bool

	// FSName is the source that the mount table shows; Subtype makes the type fuse.Subtype, and
	// is "fatvol" when empty.
	FSName, Subtype string
	// For macFUSE, and without effect elsewhere: the name that the Finder shows (none when empty), that it
	// does not list the volume, and that there are no files called "._*" and ".DS_Store".
	VolumeName              string
	NoBrowse, NoAppleDouble bool
	// UserOptions are options for other programs, such as "x-gvfs-show". They are kept in
	// /run/mount/utab where fusermount3 mounts and does that (libfuse 3.17 and later).
	UserOptions []string
	// Flags of the mount point, as in mount(8).
	NoSuid, NoDev, NoExec                      bool
	NoAtime, NoDirAtime, RelAtime, StrictAtime bool
	Sync, DirSync, ReadOnly                    bool

	// BlockSize is st_blksize: how much applications had best read and write at once. 0 is the
	// cluster size, but at least 64 KiB, because each transfer is a round trip.
	BlockSize int

	// Wakeup says whether processors stay awake while requests come in quick succession. Linux.
	Wakeup Wakeup

	// Lender, if not nil, gives the memory for requests, so that what writes bring need not be copied.
	Lender Lender

	// Idle, if not nil, is called once no request has come for IdleAfter (0: ten seconds), after a good many of them:
	// there may be memory to give back. Linux.
	Idle      func()
	IdleAfter time.Duration

	// Log receives one line per kind of failure; nil is slog.Default(). Debug adds a line for
	// every request and reply.
	Log   *slog.Logger
	Debug bool

	// State, if not nil, gives further extended attributes of the root by their name without
	// "user.fatvol.". It is asked at each listing and must answer even when the volume cannot.
	State func() map[string]string
}

// A Wakeup is what the kernel is asked about processors with nothing to do, while requests come in quick succession and
// each is answered in less time than it takes to wake one up from a deep sleep.
type Wakeup int

const (
	WakeupAuto   Wakeup = iota // WakeupFast on machines of 2 to 4 processors
	WakeupFast                 // not to let them sleep deeply; takes the right to open /dev/cpu_dma_latency
	WakeupNormal               // nothing
)

// A Lender gives memory of at least MaxRequest bytes, which is its own again after TakeBack. What was written
// from it is not changed between that and then.
type Lender interface {
	Lend() []byte
	TakeBack(p []byte)
}

// pool is the Lender where there is none.
type pool struct{ sync.Pool }

func newPool() *pool {
	return &pool{sync.Pool{New: func() any { b := make([]byte, MaxRequest); return &b }}}
}

func (p *pool) Lend() []byte      { return *p.Get().(*[]byte) }
func (p *pool) TakeBack(b []byte) { p.Put(&b) }

const (
	minBlockSize = 64 << 10
	defaultIdle  = 10 * time.Second
)

func (o *Options) setDefaults(g fat.Geometry) {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Lender == nil {
		o.Lender = newPool()
	}
	if o.IdleAfter == 0 {
		o.IdleAfter = defaultIdle
	}
	if o.Subtype == "" {
		o.Subtype = "fatvol"
	}
	if o.FSName == "" {
		o.FSName = o.Subtype
	}
	if o.BlockSize <= 0 {
		o.BlockSize = max(g.ClusterSize, minBlockSize)
	}
}

// kernelChecks reports whether the kernel alone decides who may do what. It cannot be left to it
// where an option grants what its rules deny: Quiet, and AllowUTime.
func (o *Options) kernelChecks() bool {
	return o.DefaultPermissions && !o.Quiet && o.AllowUTime&0o022 == 0
}
