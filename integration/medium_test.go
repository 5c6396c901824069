package integration

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Scenes of a medium that goes and comes back, played on real mounts without a virtual machine: the image
// is deleted, its host is unmounted, the device under the host dies. integration/vm pulls a stick.

// logLines counts the lines of a server's log with a message. The server has ended.
func logLines(s *server, message string) int {
	return strings.Count(s.log.String(), `msg="`+message)
}

const goneLine, backLine = "medium is gone", "medium is back"

// mountStage mounts the image of a stage.
func mountStage(t testing.TB, st *stage, opts ...string) (dir string, s *server) {
	t.Helper()
	dir = mountImage(t, st.img, opts...)
	mounts.Lock()
	defer mounts.Unlock()
	return dir, servers[dir]
}

func deleted(t testing.TB, img string) {
	if err := os.Remove(img); err != nil {
		t.Fatal(err)
	}
}

// What goes comes back as it was when it went: everything goes on, and nothing is lost.
func TestGoneAndBack(t *testing.T) {
	for _, tc := range []struct {
		name   string
		stage  func(t testing.TB) *stage
		reason string // a regular expression
	}{
		{"deleted", func(t testing.TB) *stage { return fileStage(t, deleted) }, "deleted"},
		{"truncated", func(t testing.TB) *stage {
			return fileStage(t, func(t testing.TB, img string) {
				if err := os.Truncate(img, 1<<20); err != nil {
					t.Fatal(err)
				}
			})
		}, "shrank|1048576 bytes|the file ends at|shorter than"},
		{"replaced by another volume", func(t testing.TB) *stage {
			other := mkfsFAT(t, 40<<20, "-F", "32", "-s", "1", "-i", "12345678")
			return fileStage(t, func(t testing.TB, img string) { put(t, other, img) })
		}, "deleted|another volume: serial number 1234-5678"},
		{"replaced by something else", func(t testing.TB) *stage {
			return fileStage(t, func(t testing.TB, img string) {
				// Quickly, or what was written has been synced by then.
				if err := errors.Join(os.WriteFile(img+".x", nil, 0o666), os.Truncate(img+".x", 40<<20), os.Rename(img+".x", img)); err != nil {
					t.Fatal(err)
				}
			})
		}, "deleted|no FAT volume"},
		{"dead device under the host", dyingStage, "input/output error|no such device|removed|changed"},
		{"host unmounted lazily", lazyStage, "unmounted"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			st := tc.stage(t)
			dir, s := mountStage(t, st)
			u := newUsers(t, dir)
			const rounds = 3
			for i := range rounds {
				vanish(t, dir, unsynced, st.snapshot, u.writeUnsynced, st.away)
				got := statusOf(t, dir)
				if !regexp.MustCompile(tc.reason).MatchString(got.Reason) {
					t.Errorf("the reason is %q, want %q", got.Reason, tc.reason)
				}
				u.mustFail()
				st.back()
				got = await(t, dir, "back", isPresent)
				if got.Generation != uint64(i+2) {
					t.Errorf("generation %d after %d returns", got.Generation, i+1)
				}
				u.mustGoOn()
			}
			u.closeAll()
			umount(t, dir)
			if gone, back := logLines(s, goneLine), logLines(s, backLine); gone != rounds || back != rounds {
				t.Errorf("%d lines that it is gone and %d that it is back, after %d times", gone, back, rounds)
			}
			if n := logLines(s, "request failed"); n != 0 {
				t.Errorf("%d lines of requests that failed", n)
			}
			fsck(t, st.img)
			u.compare(mountImage(t, st.img, "ro"))
		})
	}
}

// A lazily unmounted host is written to before it is let go of: the stick is whole, and nobody holds it.
func TestLazyUnmountFreesTheStick(t *testing.T) {
	s, img := newLoopStick(t)
	dir, _ := mountStage(t, &stage{img: img})
	u := newUsers(t, dir)
	u.writeUnsynced()
	run(t, "umount", "-l", s.host)
	if st := await(t, dir, "gone", isGone); st.Unsynced != 0 {
		t.Errorf("%d bytes are unsynced", st.Unsynced)
	}
	run(t, "losetup", "-d", s.loop)
	deadline := time.Now().Add(patience)
	for run(t, "losetup", "-j", s.flash) != "" {
		if time.Now().After(deadline) {
			t.Fatal("something holds the loop device")
		}
	}
	run(t, "e2fsck", "-fn", s.flash)
	s.plug()
	await(t, dir, "back", isPresent)
	u.mustGoOn()
}

// Renamed on its host, the image is there, and is served on.
func TestRenamedImage(t *testing.T) {
	st := fileStage(t, deleted)
	dir, s := mountStage(t, st)
	u := newUsers(t, dir)
	to := filepath.Join(filepath.Dir(st.img), "renamed.img")
	if err := os.Rename(st.img, to); err != nil {
		t.Fatal(err)
	}
	got := await(t, dir, "moved", func(st mediumStatus) bool { return st.Moved != "" })
	if got.State != "present" || got.Moved != to || got.Generation != 1 {
		t.Errorf("%+v", got)
	}
	u.writeUnsynced()
	u.mustGoOn()
	u.closeAll()
	umount(t, dir)
	if n := strings.Count(s.log.String(), to); n != 1 {
		t.Errorf("%d lines about the new path:\n%s", n, s.log)
	}
	if n := logLines(s, goneLine); n != 0 {
		t.Error("it was taken for gone")
	}
	fsck(t, to)
	u.compare(mountImage(t, to, "ro"))
}

// Whoever has the image open needs no permission any more.
func TestPermissionsChanged(t *testing.T) {
	st := fileStage(t, deleted)
	dir, _ := mountStage(t, st)
	u := newUsers(t, dir)
	if err := os.Chmod(st.img, 0); err != nil {
		t.Fatal(err)
	}
	u.writeUnsynced()
	u.mustGoOn()
	if got := statusOf(t, dir); got.State != "present" || got.Generation != 1 {
		t.Errorf("%+v", got)
	}
}

// For a return, a user does need it: the reason says so, and with the permission all goes on.
func TestReturnWithoutPermission(t *testing.T) {
	needRoot(t)
	img := mkfsFAT(t, 4<<20)
	dir := newDir(t)
	openPath(t, img)
	openPath(t, dir)
	for _, path := range []string{img, dir, filepath.Dir(img)} {
		if err := os.Chown(path, nobody, nobody); err != nil {
			t.Fatal(err)
		}
	}
	if out, code := asNobody(t, binary(t), "mount", "-o", "iotimeout=1", img, dir); code != 0 {
		t.Fatal(out)
	}
	noteMount(dir, 0)
	defer forgetMount(dir)
	ask := func(want string) {
		t.Helper()
		deadline := time.Now().Add(patience)
		for {
			out, _ := asNobody(t, binary(t), "status", dir)
			if strings.Contains(out, want) {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("no %q in\n%s", want, out)
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
	ask("present")
	saved := filepath.Join(t.TempDir(), "saved")
	copyFile(t, img, saved)
	deleted(t, img)
	ask("gone")
	copyFile(t, saved, img+".new")
	if err := errors.Join(os.Chmod(img+".new", 0o600), os.Rename(img+".new", img)); err != nil {
		t.Fatal(err)
	}
	ask("permission denied")
	if err := os.Chmod(img, 0o666); err != nil {
		t.Fatal(err)
	}
	ask("present again")
	if out, code := asNobody(t, binary(t), "umount", dir); code != 0 {
		t.Error(out)
	}
}

// A host that turns read-only is there: reads go on, writes fail, and what is unsynced is kept until the
// host takes writes again.
func TestHostTurnsReadOnly(t *testing.T) {
	s, img := newLoopStick(t)
	trigger := filepath.Join("/sys/fs/ext4", filepath.Base(s.loop), "trigger_fs_error")
	if _, err := os.Stat(trigger); err != nil {
		lacks(t, "ext4 cannot be made to report an error here: %v", err)
	}
	run(t, "mount", "-o", "remount,errors=remount-ro", s.host)
	dir, srv := mountStage(t, &stage{img: img})
	u := newUsers(t, dir)
	run(t, "sync", "-f", dir)
	run(t, "sync", "-f", img) // else it cannot even be read past the cache any more
	if err := os.WriteFile(trigger, []byte("1"), 0o200); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(patience)
	for {
		_, err := u.writer.WriteAt(u.written[:1], 0)
		if errors.Is(err, syscall.EROFS) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("write: %v, want EROFS", err)
		}
	}
	u.compare(dir)
	s.unplug()
	await(t, dir, "gone", isGone)
	runCode(t, "e2fsck", "-fy", s.flash)
	s.plug()
	await(t, dir, "back", isPresent)
	u.mustGoOn()
	u.closeAll()
	umount(t, dir)
	fsck(t, img)
	u.compare(mountImage(t, img, "ro"))
	if n := logLines(srv, goneLine); n != 1 {
		t.Errorf("%d lines that it is gone:\n%s", n, srv.log)
	}
}
