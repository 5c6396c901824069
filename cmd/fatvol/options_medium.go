package main

import (
	"fmt"
	"time"

	"fatvol/image/replay"
	"fatvol/watch"
)

// mediumConfig is what the options say about a medium that comes and goes.
type mediumConfig struct {
	ioTimeout time.Duration
	unsynced  int64 // bytes
	never     bool  // once gone, stay gone
	replay    replayMode
	nodetect  string // names of detectors, between colons
}

// replayMode says what a mount does with unsaved changes of an earlier one.
type replayMode uint8

const (
	replayApply replayMode = iota
	replayAsk
	replayIgnore
)

func defaultMedium() mediumConfig {
	return mediumConfig{ioTimeout: watch.DefaultIOTimeout, unsynced: replay.DefaultLimit}
}

// Bounds of the options: a timeout that leaves a slow stick its time, and a log that holds at least a
// few of the largest requests.
const (
	minIOTimeout = 100 * time.Millisecond
	maxIOTimeout = time.Hour
	minUnsynced  = 4 << 20
)

var mediumOptions = []option{
	{"iotimeout", durationValue(minIOTimeout, maxIOTimeout, func(c *config, d time.Duration) { c.medium.ioTimeout = d }),
		"How long the file system that holds the image may take to answer one call, in seconds, or with a unit: `500ms`, `1m`. A call that takes longer means that the medium is gone. The default is 30 seconds, the least 100ms, the most an hour."},
	{"unsynced", sizeValue(minUnsynced, func(c *config, n int64) { c.medium.unsynced = n }),
		"How many bytes may be written and not yet be on the medium. They are kept in memory, and are written again when the medium comes back; a writer that is faster than the medium waits. The default is `64M`, the least 4M, and nothing gets much older than a second."},
	{"nodetect", detectorsValue(func(c *config, names string) { c.medium.nodetect = names }),
		"Ways of noticing that the medium goes or comes back that are not to be used: `probe` (a read of the medium each second, which keeps it from sleeping), `uevent`, `mountinfo`, `fsnotify`. Each has blind spots that the others cover, so that it may then take longer. `fatvol status --json` says which are in use."},
	{"return", enumValue(func(c *config, never bool) { c.medium.never = never },
		enumWord[bool]{"resume", false}, enumWord[bool]{"never", true}),
		"What happens when a medium that went comes back. `resume`, the default: if it is the same volume, and nothing else changed it, open files go on. `never`: everything fails until the unmount."},
	{"replay", enumValue(func(c *config, m replayMode) { c.medium.replay = m },
		enumWord[replayMode]{"apply", replayApply}, enumWord[replayMode]{"ask", replayAsk}, enumWord[replayMode]{"ignore", replayIgnore}),
		"What happens with changes that an earlier mount of this volume could not write, because the medium was gone. `apply`, the default: they are written, if the volume is as it was then; otherwise the mount fails. `ask`: the mount fails and says that there are some. `ignore`: they are left where they are, and the volume is mounted without them. While such changes are still in the memory of a mount that waits for the volume, only `ignore` mounts it a second time."},
}

// durationValue is for a time in seconds, or with a unit.
func durationValue(low, high time.Duration, set func(c *config, d time.Duration)) value {
	return needed("=SECONDS", func(c *config, text string) error {
		d, err := time.ParseDuration(text)
		if err != nil {
			d, err = time.ParseDuration(text + "s")
		}
		if err != nil {
			return fmt.Errorf("%q is neither a number of seconds nor a time as in 500ms or 2m", text)
		}
		if d < low || d > high {
			return fmt.Errorf("%v is not within %v and %v", d, low, high)
		}
		set(c, d)
		return nil
	})
}
