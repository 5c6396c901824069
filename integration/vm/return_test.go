//go:build linux

package vm

import (
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"fatvol/integration/vm/guestapi"
)

// smallCrew writes, and reads what nobody writes.
func smallCrew(root string) []guestapi.Work {
	works := []guestapi.Work{
		{Kind: guestapi.Reader, Slots: 16, Block: 4096, Uncached: true},
		{Kind: guestapi.Writer, Slots: 64, Block: 4096},
		{Kind: guestapi.Writer, Slots: 16, Block: 4096, FsyncEvery: 3},
		{Kind: guestapi.Creator, Slots: 8, Block: 1024},
	}
	return inDirectories(works, root)
}

// startSmallCrew starts a small crew and waits until it is at work.
func (s *Scene) startSmallCrew() *Crew {
	s.t.Helper()
	works := smallCrew(volumeDir)
	s.Prepare(works)
	crew := s.StartCrew(works)
	crew.Await(func(p guestapi.Progress) bool { return p.Calls >= 40 })
	return crew
}

// awaitFailures waits until every worker has had a failure after an instant.
func (c *Crew) awaitFailures(after int64) {
	c.v.t.Helper()
	c.Await(func(p guestapi.Progress) bool { return p.LastFailure > after || c.pulses[p.ID] })
}

// awaitSuccess waits until every worker has had a success after an instant.
func (c *Crew) awaitSuccess(after int64) {
	c.v.t.Helper()
	c.Await(func(p guestapi.Progress) bool { return p.LastOK > after })
}

// TestOtherStick: another stick, with another volume at the same path, is not taken for the first one,
// nor written to; and when that comes, everything goes on.
func TestOtherStick(t *testing.T) {
	s := newScene(shared(t), "vfat")
	crew := s.startSmallCrew()
	p := s.pull()
	crew.awaitFailures(p.After.At)
	right := s.stick

	other := NewStick(t, "vfat", sceneImage(t, "-i", "0badcafe"), 512)
	before := fileSum(t, other.Image(t))
	s.back(other)
	st := s.await("gone", 1, "(?i)another|other|serial")
	t.Logf("reason: %s", st.Reason)
	s.pull()
	if after := fileSum(t, other.Image(t)); after != before {
		t.Error("fatvol wrote to another volume")
	}

	s.back(right)
	s.await("present", st.Generation+1, "")
	s.finish(crew)
}

// finish waits until the crew goes on, stops it, and finds everything it wrote.
func (s *Scene) finish(crew *Crew) {
	s.t.Helper()
	crew.awaitSuccess(s.readClock().guest.At)
	reports := crew.Stop()
	for _, r := range reports {
		s.verify(r, "")
	}
	s.endClean(reports)
}

// TestSameStickElsewhere: the same stick comes back in another port, in the middle of its file system
// there is another file now, and the image has not changed.
func TestSameStickElsewhere(t *testing.T) {
	s := newScene(shared(t), "ext4")
	crew := s.startSmallCrew()
	p := s.pull()
	crew.awaitFailures(p.After.At)
	// Another computer replays the journal, moves the image to other blocks, and ejects the stick.
	s.stick.Edit(t, func(string) {})
	s.stick.Port = 2
	s.back(s.stick)
	s.await("present", 2, "")
	s.finish(crew)
}

// TestChangedElsewhere: when the volume was changed elsewhere and nothing of ours was missing on it,
// the mount goes on with what is there now; what was open before is dead for good.
func TestChangedElsewhere(t *testing.T) {
	s := newScene(shared(t), "vfat")
	works := []guestapi.Work{
		{Kind: guestapi.Reader, File: 1, Dir: volumeDir + "/reader", Slots: 16, Block: 4096, Uncached: true, Pause: 2 * time.Millisecond},
	}
	s.Prepare(works)
	s.Shell("cd " + volumeDir + "; echo old > kept; echo old > changed; echo old > removed; sync")
	crew := s.StartCrew(works)
	crew.Await(func(p guestapi.Progress) bool { return p.Calls >= 20 })
	s.awaitSynced()
	p := s.pull()
	crew.awaitFailures(p.After.At)

	s.stick.Edit(t, func(image string) {
		content := write(t, "new content, written elsewhere\n")
		host(t, "mcopy", "-o", "-i", image, content, "::changed")
		host(t, "mcopy", "-i", image, content, "::added elsewhere")
		host(t, "mdel", "-i", image, "::removed")
	})
	s.back(s.stick)
	s.await("present", 2, "")
	present := s.readClock().guest.At
	for name, want := range map[string]string{
		"kept": "old\n", "changed": "new content, written elsewhere\n", "added elsewhere": "new content, written elsewhere\n",
	} {
		if got := s.Run("cat", volumeDir+"/"+name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if exit := s.Exit(guestapi.Command{Args: []string{"cat", volumeDir + "/removed"}}); !strings.Contains(string(exit.Stderr), "No such file") {
		t.Errorf("the file that was removed elsewhere: exit code %d, %s%s", exit.Code, exit.Stdout, exit.Stderr)
	}
	crew.awaitFailures(present)
	reports := crew.Stop()
	if other := onlyEIO(tallyOf(reports, span{present, 1 << 62})); len(other) > 0 {
		t.Errorf("a descriptor from before the change does not answer EIO:\n%v", other)
	}
	// And it is a working volume, which is as unclean as the pull left it.
	s.Shell("cd " + volumeDir + "; cp changed copy; mv kept moved; rm 'added elsewhere'; sync")
	if umount, server := s.end(); umount.Code != 0 || server.Code != 0 {
		t.Errorf("umount: exit code %d, fatvol: %d\n%s\n%s", umount.Code, server.Code, umount.Stderr, s.log())
	}
	s.fsckUnclean(imagePath)
}

// awaitSynced waits until nothing is unsynced.
func (s *Scene) awaitSynced() {
	s.t.Helper()
	for end := time.Now().Add(statePatience); ; time.Sleep(20 * time.Millisecond) {
		st := s.status()
		if st.Unsynced == 0 && !st.Names {
			return
		}
		if time.Now().After(end) {
			s.t.Fatalf("something is unsynced after %v: %+v", statePatience, st)
		}
	}
}

// TestConflict: when the volume was changed elsewhere and something of ours is missing on it, nothing
// is written to it; at the unmount what is missing goes to a replay file, from which it can be
// extracted, and which no mount applies to the changed volume.
func TestConflict(t *testing.T) {
	s := newScene(shared(t), "vfat")
	works := smallCrew(volumeDir)[1:2] // the writer without fsync
	s.Prepare(works)
	s.Shell("echo ours > " + volumeDir + "/changed; sync")
	crew := s.StartCrew(works)
	crew.Await(func(p guestapi.Progress) bool { return p.Calls >= 40 })
	p := s.pull()
	crew.awaitFailures(p.After.At)
	reports := crew.Stop()

	s.stick.Edit(t, func(image string) {
		host(t, "mcopy", "-o", "-i", image, write(t, "theirs\n"), "::changed")
	})
	s.back(s.stick)
	st := s.await("gone", 1, "(?i)changed|conflict")
	t.Logf("reason: %s; unsynced: %d bytes", st.Reason, st.Unsynced)
	if st.Unsynced == 0 {
		t.Fatal("nothing is unsynced: the scene shows nothing")
	}

	umount, server := s.end()
	said := string(umount.Stderr) + string(umount.Stdout)
	t.Logf("umount: exit code %d: %s", umount.Code, said)
	if umount.Code == 0 || server.Code == 0 {
		t.Errorf("exit codes: umount %d, fatvol %d, want errors", umount.Code, server.Code)
	}
	saved := s.replayFiles()
	if len(saved) != 1 || !strings.Contains(said, saved[0]) {
		t.Fatalf("replay files %q; the message of umount names none of them: %s", saved, said)
	}
	s.mount(kernel, imagePath, "/mnt/check", "ro")
	if got := s.Run("cat", "/mnt/check/changed"); got != "theirs\n" {
		t.Errorf("what was written elsewhere: %q", got)
	}
	s.unmount(kernel, "/mnt/check")

	// The next mount refuses, and says what can be done.
	exit := s.Exit(guestapi.Command{Args: []string{"fatvol", "mount", imagePath, volumeDir}})
	if exit.Code != 32 || !strings.Contains(string(exit.Stderr), saved[0]) {
		t.Errorf("mount with unsaved changes that do not fit: exit code %d: %s", exit.Code, exit.Stderr)
	}
	if out := s.Run("fatvol", "replay", "list"); !strings.Contains(out, "FATVOLTEST") {
		t.Errorf("replay list: %s", out)
	}
	s.Run("fatvol", "replay", "show", saved[0])
	s.Run("fatvol", "replay", "extract", saved[0], "/tmp/rescued")
	for _, r := range reports {
		s.verify(r, strings.Replace(r.Work.Dir, volumeDir, "/tmp/rescued", 1))
	}
	if exit := s.Exit(guestapi.Command{Args: []string{"fatvol", "replay", "apply", saved[0]}}); exit.Code == 0 {
		t.Errorf("unsaved changes were applied to a changed volume: %s", exit.Stdout)
	}
	s.Run("fatvol", "mount", "-o", "replay=ignore", imagePath, volumeDir)
	s.Run("fatvol", "umount", volumeDir)
	s.Run("fatvol", "replay", "discard", saved[0])
	s.Run("fatvol", "mount", imagePath, volumeDir)
	s.Run("fatvol", "umount", volumeDir)
	s.fsckUnclean(imagePath)
}

// replayFiles are the files with unsaved changes.
func (s *Scene) replayFiles() []string {
	s.t.Helper()
	return strings.Fields(s.Shell("ls /var/lib/fatvol/*.replay 2>/dev/null || true"))
}

// TestTruncated: an image that comes back shorter is refused, and the whole one is taken.
func TestTruncated(t *testing.T) {
	s := newScene(shared(t), "ext4")
	crew := s.startSmallCrew()
	p := s.pull()
	crew.awaitFailures(p.After.At)
	short := s.stick.Clone(t)
	whole := s.stick
	short.Edit(t, func(image string) {
		if err := os.Truncate(image, 20<<20); err != nil {
			t.Fatal(err)
		}
	})
	s.back(short)
	st := s.await("gone", 1, "(?i)bytes|shorter|truncated|size")
	t.Logf("reason: %s", st.Reason)
	s.pull()
	s.back(whole)
	s.await("present", 2, "")
	s.finish(crew)
}

// TestUnmountWhileGone: everything that was acknowledged goes to a replay file, and the next mount
// writes it.
func TestUnmountWhileGone(t *testing.T) {
	v := shared(t)
	for _, fsType := range []string{"ext4", "vfat"} {
		t.Run(fsType, func(t *testing.T) {
			s := newScene(v.in(t), fsType)
			crew := s.startSmallCrew()
			p := s.pull()
			crew.awaitFailures(p.After.At)
			st := s.await("gone", 1, "")
			reports := crew.Stop()
			umount, server := s.end()
			t.Logf("%d bytes were unsynced; umount: exit code %d: %s", st.Unsynced, umount.Code, umount.Stderr)
			saved := s.replayFiles()
			if umount.Code == 0 || server.Code == 0 || len(saved) != 1 || !strings.Contains(string(umount.Stderr), saved[0]) {
				t.Fatalf("umount: exit code %d (fatvol: %d), replay files %q\n%s", umount.Code, server.Code, saved, s.log())
			}

			s.back(s.stick)
			exit := s.Exit(guestapi.Command{Args: []string{"fatvol", "mount", "-o", "replay=ask", imagePath, volumeDir}})
			if exit.Code != 32 || !strings.Contains(string(exit.Stderr), saved[0]) {
				t.Errorf("replay=ask: exit code %d: %s", exit.Code, exit.Stderr)
			}
			s.serve()
			if left := s.replayFiles(); len(left) > 0 {
				t.Errorf("the replay file is still there: %q", left)
			}
			for _, r := range reports {
				s.verify(r, "")
			}
			s.endClean(reports)
		})
	}
}

// TestReturnNever: with return=never, the mount stays as it is when the stick went.
func TestReturnNever(t *testing.T) {
	s := newScene(shared(t), "vfat", "return=never")
	crew := s.startSmallCrew()
	p := s.pull()
	crew.awaitFailures(p.After.At)
	crew.Stop()
	st := s.await("gone", 1, "")
	s.back(s.stick)
	// What would bring it back has happened; the probe of a mount without the option looks within a
	// second or two.
	s.Run("sleep", "3")
	if now := s.status(); now.State != "gone" || now.Generation != st.Generation {
		t.Errorf("the medium is %+v", now)
	}
	s.end()
}

// TestReturnReadOnly: a stick whose switch is on now cannot be written to; when it is off again,
// everything goes on.
func TestReturnReadOnly(t *testing.T) {
	s := newScene(shared(t), "vfat")
	crew := s.startSmallCrew()
	p := s.pull()
	crew.awaitFailures(p.After.At)
	s.unmountHost()
	s.stick.ReadOnly = true
	s.plug(s.stick, "ro")
	s.Run("sleep", "3")
	if st := s.status(); st.State == "present" && st.Unsynced == 0 {
		t.Errorf("everything is said to be on a stick that cannot be written to: %+v", st)
	}
	s.pull()
	s.stick.ReadOnly = false
	s.back(s.stick)
	for end := time.Now().Add(statePatience); ; time.Sleep(20 * time.Millisecond) {
		if st := s.status(); st.State == "present" && st.Generation >= 2 {
			break
		} else if time.Now().After(end) {
			t.Fatalf("the medium is %+v\n%s", st, s.log())
		}
	}
	s.finish(crew)
}

// TestPullDuringReplay: the stick is pulled again while what was lost is being written to it.
func TestPullDuringReplay(t *testing.T) {
	v := shared(t)
	for _, fsType := range []string{"ext4", "vfat"} {
		t.Run(fsType, func(t *testing.T) {
			stick := NewStick(t, fsType, sceneImage(t), 512)
			s := newSceneOn(v.in(t), stick)
			works := []guestapi.Work{
				{Kind: guestapi.Writer, File: 1, Dir: volumeDir + "/large", Slots: 16, Block: 1 << 20},
				{Kind: guestapi.Creator, File: 2, Dir: volumeDir + "/small", Slots: 12, Block: 1024},
			}
			s.Prepare(works)
			crew := s.StartCrew(works)
			crew.Await(func(p guestapi.Progress) bool { return p.Calls >= 40 })
			p := s.pull()
			crew.awaitFailures(p.After.At)
			reports := crew.Stop()
			st := s.await("gone", 1, "")
			t.Logf("%d bytes are unsynced", st.Unsynced)

			s.stick.Speed = 3 << 20 // so that the replay takes its time
			interrupted := 0
			for _, delay := range []time.Duration{50, 150, 300, 600, 1000, 1500} {
				s.back(s.stick)
				time.Sleep(delay * time.Millisecond)
				if s.status().State == "present" {
					break
				}
				interrupted++
				s.pull()
			}
			t.Logf("%d replays were interrupted", interrupted)
			if interrupted == 0 {
				t.Error("no replay took long enough to be interrupted: the scene shows nothing")
			}
			s.stick.Speed = 0
			if s.stick.id == "" {
				s.back(s.stick)
			}
			s.await("present", 2, "")
			for _, r := range reports {
				s.verify(r, "")
			}
			s.endClean(reports)
		})
	}
}

// TestQuickCycles: the stick is pulled and plugged in fifty times, at any moment of what fatvol does
// about it.
func TestQuickCycles(t *testing.T) {
	cycles := 50
	if testing.Short() {
		cycles = 10
	}
	s := newScene(shared(t), "ext4")
	crew := s.startSmallCrew()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	nap := func(most time.Duration) { time.Sleep(time.Duration(random.Int64N(int64(most)))) }
	for range cycles {
		nap(300 * time.Millisecond)
		_, _, err := s.detach(s.stick)
		s.must(err)
		nap(100 * time.Millisecond)
		// A desktop does not wait for those who still look at the dead file system.
		s.must(s.call("Detach", hostDir, &guestapi.None{}))
		s.plug(s.stick)
		switch random.IntN(3) {
		case 0:
			s.await("present", 1, "")
		case 1:
			nap(1500 * time.Millisecond)
		}
	}
	st := s.await("present", 2, "")
	t.Logf("generation %d after %d cycles, %d calls abandoned", st.Generation, cycles, st.Abandoned)
	s.noBlocked()
	s.finish(crew)
}
