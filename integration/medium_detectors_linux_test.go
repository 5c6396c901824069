package integration

import (
	"strings"
	"syscall"
	"testing"
)

// Without any one of the detectors, the medium's going and its return are noticed, and nothing is lost.
func TestDetectorsOff(t *testing.T) {
	stages := map[string]func(t testing.TB) *stage{
		"deleted":                    func(t testing.TB) *stage { return fileStage(t, deleted) },
		"dead device under the host": dyingStage,
		"host unmounted lazily":      lazyStage,
	}
	type scene struct{ off, stage string }
	var scenes []scene
	for _, off := range []string{"probe", "uevent", "mountinfo", "fsnotify"} {
		for name := range stages {
			// Nothing else sees a lazy unmount: the device works, and goes on being used.
			if off != "mountinfo" || name != "host unmounted lazily" {
				scenes = append(scenes, scene{off, name})
			}
		}
	}
	sideBySide(t, 4, scenes, func(t *testing.T, c scene) {
		st := stages[c.stage](t)
		dir, s := mountStage(t, st, "nodetect="+c.off)
		detectorsAre(t, dir, c.off)
		u := newUsers(t, dir)
		vanish(t, dir, unsynced, st.snapshot, u.writeUnsynced, st.away)
		u.mustFail()
		st.back()
		await(t, dir, "back", isPresent)
		u.mustGoOn()
		u.closeAll()
		umount(t, dir)
		if gone, back := logLines(s, goneLine), logLines(s, backLine); gone != 1 || back != 1 {
			t.Errorf("%d lines that it is gone and %d that it is back", gone, back)
		}
		fsck(t, st.img)
		u.compare(mountImage(t, st.img, "ro"))
	})
}

// detectorsAre checks what the status says of the detectors: off are those that were turned off, between
// colons.
func detectorsAre(t testing.TB, dir, off string) {
	t.Helper()
	all := statusOf(t, dir).Detectors
	for name, why := range all {
		if silenced := strings.Contains(off, name); silenced != strings.Contains(why, "turned off by nodetect=") {
			t.Errorf("nodetect=%s: status says of %s: %q", off, name, why)
		}
	}
	if len(all) != 4 {
		t.Errorf("status says of the detectors: %v", all)
	}
}

// Without all of them, there are still the errors of calls, and a look at the path now and then.
func TestAllDetectorsOff(t *testing.T) {
	const all = "probe:uevent:mountinfo:fsnotify"
	h := newHost(t)
	dir := mountImage(t, h.img, "nodetect="+all)
	detectorsAre(t, dir, all)
	u := newUsers(t, dir)
	for range 2 {
		u.writeUnsynced()
		h.fail(1, syscall.ENODEV)
		await(t, dir, "gone", isGone) // what is written is synced within a second, or so
		u.mustFail()
		h.heal()
		await(t, dir, "back", isPresent)
		u.mustGoOn()
	}
	u.closeAll()
	umount(t, dir)
	fsck(t, h.backing)
	u.compare(mountImage(t, h.backing, "ro"))
}
