package fat

import (
	"log/slog"
	"time"
)

// ErrorPolicy says what happens once damage is found in the volume's structures (errors=).
type ErrorPolicy uint8

const (
	// ErrorsRemountRO makes the volume read-only at the first damage found.
	ErrorsRemountRO ErrorPolicy = iota
	// ErrorsContinue goes on; the damaged part answers EIO.
	ErrorsContinue
	// ErrorsPanic calls Options.OnPanic and answers every later call with the error.
	ErrorsPanic
)

// Options are the choices of a mount that concern the engine. The zero value is a read-write
// volume with local time, code page 437 and UTF-8 names.
type Options struct {
	// ReadOnly: nothing is written to the device, not even the dirty flag.
	ReadOnly bool
	Geometry GeometryOptions
	Names    NameOptions
	Clock    Clock
	Errors   ErrorPolicy
	// OnPanic is called once, on a goroutine of its own, when damage is found under ErrorsPanic.
	OnPanic func(error)
	// Discard gives the storage under freed clusters back to the host.
	Discard bool
	// UseFree trusts the free count of the FSInfo sector even when the volume was not clean.
	UseFree bool
	// NoAtime never updates access dates, NoDirAtime not those of directories. StrictAtime updates
	// whenever the date differs; otherwise only when it is older than the last change or a day old.
	NoAtime, NoDirAtime, StrictAtime bool
	// Sync: a change is on stable storage when its call returns. DirSync: the same for changes of
	// directories only. Flush: the same when a changed file is closed.
	Sync, DirSync, Flush bool
	// Repair says what is done about the leftovers of a cut on a volume that was not unmounted properly.
	Repair RepairMode
	// Now is the clock that stamps files; nil is time.Now.
	Now func() time.Time
	// Log receives one line per kind of damage or failure; nil is slog.Default().
	Log *slog.Logger
	// CacheBytes bounds the clean FAT pages and directories kept in memory; 0 is 16 MiB.
	CacheBytes int64
	// CommitDelay is the age at which changed metadata is committed in the background; 0 is 1 s,
	// negative is never (only Sync, Flush, Close and a full cache commit).
	CommitDelay time.Duration

	noWait bool // nothing but a sync waits for the repair
	check  bool // a check has the volume, and may change what is damaged
}

const (
	defaultCacheBytes  = 16 << 20
	defaultCommitDelay = time.Second
)

func (o *Options) setDefaults() {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.CacheBytes <= 0 {
		o.CacheBytes = defaultCacheBytes
	}
	if o.CommitDelay == 0 {
		o.CommitDelay = defaultCommitDelay
	}
}
