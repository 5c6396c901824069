package fs

import (
	"os"
	"strconv"
)

// readahead is how far the kernel reads ahead of a sequential reader. The most that FUSE can agree on
// is the default of 128 KiB, which is an eighth of what a request can carry.
const readahead = 1 << 20

// raiseReadahead sets it in sysfs. Without the permission, reading is slower and nothing else.
func raiseReadahead(id deviceID, opt *Options) {
	name := "/sys/class/bdi/" + id.String() + "/read_ahead_kb"
	if err := os.WriteFile(name, []byte(strconv.Itoa(readahead>>10)), 0); err != nil {
		opt.Log.Debug("readahead stays as it is", "err", err)
	}
}
