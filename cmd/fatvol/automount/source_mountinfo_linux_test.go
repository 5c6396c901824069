package automount

import (
	"context"
	"strings"
	"testing"

	"github.com/moby/sys/mountinfo"
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
