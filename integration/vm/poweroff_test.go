//go:build linux

package vm

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fatvol/image/fat/fattest"
	"fatvol/integration/vm/guestapi"
)

var powerOffs = flag.Int("poweroffs", 8, "`moments` at which TestPowerOff has the power go")

// TestPowerOff: the power goes at random moments while programs write to the volume.
//
// What a machine leaves on a stick when its power goes is a matter of what the stick was given to write by then,
// and of what it had been told to flush. QEMU records both in one run, so any number of moments can be looked at:
// for each of them, a stick is made of what was flushed and of some of what was not. Workers acknowledge what
// an fsync has covered to the stick as well, where it is recorded behind what was promised: an fsync that
// returned before its data were flushed shows.
func TestPowerOff(t *testing.T) {
	v := shared(t)
	scenes := []struct {
		host string
		mkfs []string
	}{
		{"ext4", []string{"-F", "32", "-s", "1"}},
		{"vfat", []string{"-F", "16", "-s", "1"}},
	}
	for _, c := range scenes {
		t.Run(c.host, func(t *testing.T) {
			image := newImage(t, map[string]int64{"32": 36 << 20, "16": 12 << 20}[c.mkfs[1]], c.mkfs...)
			s := recordStick(t, c.host, image)
			reports := s.writeUntilPulled(v.in(t), *powerOffs/len(scenes))
			s.lookAtCuts(t, reports, *powerOffs/len(scenes))
		})
	}
}

// A recordedStick is a stick, and what was on it before anything of its log was written.
type recordedStick struct {
	*Stick
	before string
}

func recordStick(t *testing.T, fsType, image string) *recordedStick {
	t.Helper()
	s := &recordedStick{NewStick(t, fsType, image, 512), filepath.Join(t.TempDir(), "before")}
	host(t, "cp", "--sparse=always", s.Path, s.before)
	s.Log = filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(s.Log, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return s
}

// powerOffWorks write in every way that the issue names. Blocks are sectors: what is written in place and was
// not synced may be the old or the new one, but never a part of it.
func powerOffWorks(acks string) []guestapi.Work {
	works := []guestapi.Work{
		{Kind: guestapi.Writer, Slots: 32, Block: 512, FsyncEvery: 5},
		{Kind: guestapi.Writer, Slots: 60, Block: 512},
		{Kind: guestapi.Appender, Slots: 6, Block: 704, FsyncEvery: 3},
		{Kind: guestapi.Creator, Slots: 12, Block: 1024, FsyncEvery: 2},
		{Kind: guestapi.Creator, Slots: 8, Block: 5000, FsyncEvery: 7},
		{Kind: guestapi.Creator, Slots: 6, Block: 2048, FsyncEvery: 3, Nested: true},
	}
	for i := range works {
		works[i].Acks = acks
	}
	return inDirectories(works, volumeDir)
}

// writeUntilPulled has the workers write, and pulls the stick in the middle of that. The more cuts are wanted,
// the longer they write.
func (s *recordedStick) writeUntilPulled(v *VM, cuts int) []guestapi.WorkReport {
	v.t.Helper()
	v.Run("mkdir", "-p", hostDir, volumeDir)
	scene := &Scene{VM: v, stick: s.Stick}
	scene.disk = v.Plug(s.Stick)
	// Linux takes sticks for ones without a cache, and would flush nothing.
	v.Shell("for f in /sys/block/" + scene.disk.Name + "/device/scsi_disk/*/cache_type; do echo temporary write back > $f; done")
	scene.mountHost(s.Stick)
	scene.serve()
	works := powerOffWorks("/dev/" + scene.disk.Name)
	v.Prepare(works)
	crew := v.StartCrew(works)
	crew.Await(func(p guestapi.Progress) bool { return p.Calls >= int64(60+cuts/2) && p.Failures == 0 })
	scene.pull()
	crew.Await(func(p guestapi.Progress) bool { return p.Failures > 0 })
	return crew.Stop()
}

// lookAtCuts looks at the stick as it is when the power goes at random moments.
func (s *recordedStick) lookAtCuts(t *testing.T, reports []guestapi.WorkReport, cuts int) {
	t.Helper()
	log := readWriteLog(t, s.Log)
	first := log.firstAck(t, reports)
	t.Logf("%d writes and flushes, %d flushes, the first acknowledgement is number %d", len(log), log.flushes(), first)
	if log.flushes() < 10 {
		t.Fatalf("the stick was told to flush %d times only: the scene shows nothing", log.flushes())
	}
	acked := 0
	for i := range cuts {
		rng := rand.New(rand.NewPCG(0, uint64(i)))
		n := first + 1 + rng.IntN(len(log)-first)
		kind := survivors(rng.IntN(int(survivorKinds)))
		t.Run(fmt.Sprintf("cut %d", i), func(t *testing.T) {
			t.Logf("after write %d of %d; of what was not flushed survive: %v", n, len(log), kind)
			stick := s.cut(t, log, n, kind, rng)
			t.Cleanup(func() {
				if t.Failed() { // no other run writes the same
					keep := filepath.Join(os.TempDir(), fmt.Sprintf("fatvol-poweroff-%d", os.Getpid()))
					host(t, "cp", "--sparse=always", stick.Path, keep)
					t.Logf("the stick is kept in %s", keep)
				}
			})
			synced := log.syncedAt(t, n, reports)
			for _, r := range synced {
				for _, slot := range r.Ledger {
					if slot.Synced > 1 {
						acked++
					}
				}
			}
			if lost := lookAtCut(t, stick.Image(t), synced); len(lost) > 0 {
				t.Errorf("not as it was acknowledged:\n%s", strings.Join(lost, "\n"))
			}
		})
		if t.Failed() {
			return
		}
	}
	if acked == 0 && cuts > 0 {
		t.Error("no cut came after an fsync: the scene shows nothing")
	}
	t.Run("what is lost is noticed", func(t *testing.T) {
		stick := s.cut(t, log, first+1, allSurvive, rand.New(rand.NewPCG(0, 0)))
		if lost := lookAtCut(t, stick.Image(t), log.syncedAt(t, len(log), reports)); len(lost) == 0 {
			t.Error("the stick has nothing that was written after the first acknowledgement, and that is as it should be")
		}
	})
}

// cut makes a stick of the first n entries of the log.
func (s *recordedStick) cut(t *testing.T, log writeLog, n int, kind survivors, rng *rand.Rand) *Stick {
	t.Helper()
	stick := &Stick{Path: filepath.Join(t.TempDir(), "cut"), FS: s.FS}
	host(t, "cp", "--sparse=always", s.before, stick.Path)
	f, err := os.OpenFile(stick.Path, os.O_RDWR, 0)
	if err == nil {
		err = errors.Join(log.cut(f, n, kind, rng), f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	return stick
}

// firstAck is the number of the first entry that acknowledges anything: the files are there from then on.
func (l writeLog) firstAck(t *testing.T, reports []guestapi.WorkReport) int {
	t.Helper()
	for i, e := range l {
		if e.at >= guestapi.AckOffset && e.at < partitionStart {
			return i
		}
	}
	t.Fatal("nothing was acknowledged")
	return 0
}

// syncedAt are the reports with the ledgers of after the first n entries: what was acknowledged by then was
// synced, and what was written until the end may be there.
func (l writeLog) syncedAt(t *testing.T, n int, reports []guestapi.WorkReport) (then []guestapi.WorkReport) {
	t.Helper()
	for _, r := range reports {
		sector := l.sectorAt(guestapi.AckOffset+int64(r.Work.File)*guestapi.AckSize, n)
		versions, err := guestapi.ReadAck(sector, r.Work.File, len(r.Ledger))
		if err != nil {
			t.Fatal(err)
		}
		ledger := make(guestapi.Ledger, len(r.Ledger))
		for slot, s := range r.Ledger {
			ledger[slot] = s
			ledger[slot].Synced = versions[slot]
		}
		r.Ledger = ledger
		then = append(then, r)
	}
	return then
}

// lookAtCut looks at an image that a cut left: it has no damage, and the next mount repairs what it has. It returns
// what is not as it was acknowledged.
func lookAtCut(t *testing.T, image string, reports []guestapi.WorkReport) (lost []string) {
	t.Helper()
	found, err := fattest.CheckFile(image)
	if err == nil {
		err = found.DamageErr()
	}
	if err != nil {
		t.Fatal(err)
	}
	dir := mountHere(t, image)
	for _, r := range reports {
		at := strings.Replace(r.Work.Dir, volumeDir, dir, 1)
		lost = append(lost, guestapi.Verify(guestapi.VerifyArgs{Work: r.Work, Ledger: r.Ledger, Dir: at, SyncedOnly: true})...)
	}
	unmountHere(t, dir)
	lines := strings.Split(strings.TrimSpace(host(t, "fsck.fat", "-n", image)), "\n")
	if len(lines) != 2 || !fsckSummary.MatchString(lines[1]) {
		t.Errorf("fsck.fat after the repair:\n%s", strings.Join(lines, "\n"))
	}
	return lost
}

// mountHere mounts an image on this machine, and waits until what a cut left in it is repaired.
func mountHere(t *testing.T, image string, options ...string) (dir string) {
	t.Helper()
	if _, err := os.Stat("/dev/fuse"); err != nil {
		skip(t, err)
	}
	dir = filepath.Join(t.TempDir(), "mnt")
	if err := os.Mkdir(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	args := []string{"mount", image, dir}
	if len(options) > 0 {
		args = append(args, "-o", strings.Join(options, ","))
	}
	fatvolHere(t, args...)
	t.Cleanup(func() {
		// Nothing is there any more where the test has come to its end.
		_ = exec.Command(goBinary(t, "fatvol/cmd/fatvol"), "umount", dir).Run()
	})
	for end := time.Now().Add(statePatience); ; time.Sleep(5 * time.Millisecond) {
		var st struct {
			Repair string `json:"repair"`
		}
		if err := json.Unmarshal([]byte(fatvolHere(t, "status", "--json", dir)), &st); err != nil {
			t.Fatal(err)
		}
		if st.Repair != "running" {
			return dir
		}
		if time.Now().After(end) {
			t.Fatalf("the volume is not repaired after %v", statePatience)
		}
	}
}

func unmountHere(t *testing.T, dir string) {
	t.Helper()
	fatvolHere(t, "umount", dir)
}

// fatvolHere runs fatvol on this machine.
func fatvolHere(t *testing.T, args ...string) string {
	t.Helper()
	t.Setenv("XDG_STATE_HOME", scratch)
	t.Setenv("XDG_RUNTIME_DIR", scratch)
	return host(t, goBinary(t, "fatvol/cmd/fatvol"), args...)
}
