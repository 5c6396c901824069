package integration

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// What the options of a mount do, seen from outside. cmd/fatvol tests what they set.

const nobody = 65534

// volume is an image with a file of each kind that the options tell apart.
func volume(t testing.TB) string {
	t.Helper()
	need(t, "mcopy", "mattrib", "mmd")
	img := mkfsFAT(t, 4<<20)
	text := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(text, []byte("#!/bin/sh\necho ran\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"PROG.EXE", "plain.txt", "RDONLY.TXT", "SYSTEM.TXT"} {
		run(t, "mcopy", "-i", img, text, "::"+name)
	}
	run(t, "mmd", "-i", img, "::RODIR")
	run(t, "mattrib", "-i", img, "+r", "::RDONLY.TXT", "::RODIR")
	run(t, "mattrib", "-i", img, "+s", "::SYSTEM.TXT")
	return img
}

func TestMountTable(t *testing.T) {
	img := volume(t)
	for _, tc := range []struct {
		options string
		flags   []string // that the mount table shows
		source  string
		fstype  string
	}{
		{"rw", []string{"rw", "nosuid", "nodev", "relatime"}, img, "fuse.fatvol"},
		{"ro", []string{"ro"}, img, "fuse.fatvol"},
		{"noexec", []string{"noexec"}, img, "fuse.fatvol"},
		{"noatime", []string{"noatime"}, img, "fuse.fatvol"},
		{"sync", []string{"sync"}, img, "fuse.fatvol"},
		{"dirsync", []string{"dirsync"}, img, "fuse.fatvol"},
		{"nfs=nostale_ro", []string{"ro"}, img, "fuse.fatvol"},
		{"nfs=stale_rw", []string{"rw"}, img, "fuse.fatvol"},
		{"default_permissions", []string{"rw"}, img, "fuse.fatvol"},
		{`fsname=my\, card`, []string{"rw"}, `my,\040card`, "fuse.fatvol"},
		{"subtype=card", []string{"rw"}, img, "fuse.card"},
	} {
		dir := mountImage(t, img, tc.options)
		line := strings.Fields(mountTable(t, dir))
		if len(line) < 4 {
			t.Fatalf("mount table: %q", line)
		}
		shown := strings.Split(line[3], ",")
		for _, want := range tc.flags {
			if !slices.Contains(shown, want) {
				t.Errorf("-o %s: %s is not among %q", tc.options, want, shown)
			}
		}
		if line[0] != tc.source || line[2] != tc.fstype {
			t.Errorf("-o %s: source %s, type %s; want %s, %s", tc.options, line[0], line[2], tc.source, tc.fstype)
		}
		umount(t, dir)
	}
}

func TestDebug(t *testing.T) {
	dir := mountImage(t, volume(t), "debug")
	s := servers[dir]
	if _, err := os.Stat(filepath.Join(dir, "plain.txt")); err != nil {
		t.Error(err)
	}
	umount(t, dir)
	if !strings.Contains(s.log.String(), "LOOKUP") {
		t.Errorf("no request is in the log:\n%s", s.log)
	}
}
