package automount

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// TestMountTable: which mounts are media, and why the others are not.
func TestMountTable(t *testing.T) {
	const table = `1 0 254:0 / / rw - ext4 /dev/vda rw
2 1 0:5 / /proc rw - proc proc rw
3 1 254:0 /srv /bind rw - ext4 /dev/vda rw
4 1 0:40 / /net/share rw - nfs server:/share rw
5 1 999:1 / /media/OLD rw - ext4 /dev/nowhere rw
6 5 999:2 / /media/OLD rw - ext4 /dev/nowhere2 rw
7 1 0:50 / /run/user/0/fatvol/media/PHOTOS rw - fuse.fatvol /net/share/card.img rw
8 1 0:40 / /net/again rw - nfs server:/share rw
9 1 0:41 / /net/secret rw - nfs server:/secret rw
`
	mounts, err := mountinfo.GetMountsFromReader(strings.NewReader(table), nil)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for i, m := range (MountTable{Media: Media{Also: []string{"/net/*", "/media/*"}, Never: []string{"*:/secret", "/net/secret"}}}).media(mounts) {
		// The upper of two mounts on one directory is another medium.
		if _, twice := got[m.Dir]; twice {
			m.Dir += " above"
		}
		got[m.Dir] = m.Refused
		if m.Refused == "" && m.Why == "" {
			t.Errorf("%d: %s counts, and nothing says why", i, m.Dir)
		}
	}
	for dir, want := range map[string]string{"/": "system", "/bind": "only the part", "/net/share": "", "/media/OLD": "mounted over", "/media/OLD above": "",
		"/net/again": "same file system", "/net/secret": "never"} {
		why, ok := got[dir]
		if !ok || (why == "") != (want == "") || !strings.Contains(why, want) {
			t.Errorf("%s: %q, want %q", dir, why, want)
		}
		delete(got, dir)
	}
	if len(got) > 0 {
		t.Errorf("no media: %v", got)
	}
}

// TestMountTableFollows: the list comes at once, and the end when it is asked for.
func TestMountTableFollows(t *testing.T) {
	ctx, stop := context.WithCancel(context.Background())
	lists := 0
	err := MountTable{}.Follow(ctx, func([]Medium) {
		lists++
		stop()
	})
	if err != nil || lists != 1 {
		t.Errorf("%d lists, %v", lists, err)
	}
}

// TestMountTableMissesNothing: each of many mounts and unmounts leads to a list that has it.
func TestMountTableMissesNothing(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, to mount")
	}
	dir := t.TempDir()
	lists := make(chan []Medium, 1)
	done := make(chan error, 1)
	go func() {
		done <- MountTable{Media: Media{Also: []string{dir}}}.Follow(t.Context(), func(list []Medium) { replace(lists, list) })
	}()
	await := func(there bool) {
		t.Helper()
		for {
			select {
			case list := <-lists:
				if (mediumOf(list, dir+"/file") != nil && mediumOf(list, dir+"/file").Dir == dir) == there {
					return
				}
			case err := <-done:
				t.Fatal(err)
			case <-time.After(time.Minute):
				t.Fatalf("no list says that it is mounted: %v", there)
			}
		}
	}
	defer func() { _ = unix.Unmount(dir, unix.MNT_DETACH) }() // after a failure
	for range 200 {
		if err := unix.Mount("fatvol-test", dir, "tmpfs", 0, ""); err != nil {
			t.Skipf("needs to mount: %v", err)
		}
		await(true)
		if err := unix.Unmount(dir, 0); err != nil {
			t.Fatal(err)
		}
		await(false)
	}
}
