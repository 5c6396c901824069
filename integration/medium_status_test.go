package integration

import (
	"encoding/json"
	"strconv"
	"testing"
	"time"
)

// mediumStatus is what `fatvol status --json` prints.
type mediumStatus struct {
	State, Reason, Moved, Repair string
	Socket                       string
	PID, Goroutines              int
	Generation                   uint64
	ReadOnly                     bool  `json:"read_only"`
	HostReadOnly                 bool  `json:"host_read_only"`
	Unsynced                     int64 `json:"unsynced_bytes"`
	Files                        int   `json:"unsynced_files"`
	Names                        bool  `json:"unsynced_names"`
	HostCalls                    int64 `json:"host_calls"`
	Looks                        int64
	Abandoned                    int64 `json:"abandoned_calls"`
	Detectors                    map[string]string
	History                      []mediumChange
}

// mediumChange is an entry of a status's history.
type mediumChange struct {
	At            time.Time
	State, Reason string
	Attempts      int
}

func statusOf(t testing.TB, dir string) (st mediumStatus) {
	t.Helper()
	out := run(t, binary(t), "status", "--json", dir)
	if err := json.Unmarshal([]byte(out), &st); err != nil {
		t.Fatalf("status --json: %v\n%s", err, out)
	}
	return st
}

// await polls the status of the mount on dir until want is true.
func await(t testing.TB, dir, what string, want func(mediumStatus) bool) mediumStatus {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		st := statusOf(t, dir)
		if want(st) {
			return st
		}
		if time.Now().After(deadline) {
			t.Fatalf("the medium is not %s: %+v", what, st)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// vanish takes the medium away under the mount on dir, once everything is synced but at least n bytes,
// which write writes. Of the medium as it is before these, snapshot takes note. A mount syncs when it likes,
// and then the snapshot is none of what was on the medium: where it was faster, it is tried again.
func vanish(t testing.TB, dir string, n int64, snapshot, write, away func()) {
	t.Helper()
	for range 50 {
		await(t, dir, "synced", func(st mediumStatus) bool { return st.Unsynced == 0 && !st.Names })
		snapshot()
		write()
		// Asked of the root, as a program would take a good part of the second that there is.
		text, err := getxattr(dir, "user.fatvol.unsynced")
		if unsynced, _ := strconv.ParseInt(text, 10, 64); err != nil || unsynced < n {
			continue
		}
		away()
		await(t, dir, "gone", isGone)
		return
	}
	t.Fatal("it always synced too early")
}

func isGone(st mediumStatus) bool    { return st.State == "gone" }
func isPresent(st mediumStatus) bool { return st.State == "present" }
