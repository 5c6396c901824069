package main

import (
	"path/filepath"
	"slices"
	"testing"
)

func TestBSDMountHelper(t *testing.T) {
	for _, tc := range []struct {
		argv    []string
		options []string // nil: not this convention, or refused
	}{
		{[]string{"mount_fatvol", "card.img", "/mnt"}, []string{}},
		{[]string{"/sbin/mount_fatvol", "-o", "nodev", "-o", "noowners,nosuid,uid=501", "card.img", "/mnt"}, []string{"nodev", "nosuid", "uid=501"}},
		{[]string{"mount_fatvol", "-r", "-o", `volname=a\,b`, "card.img", "/mnt"}, []string{`volname=a\,b`, "ro"}},
		{[]string{"fatvol", "-o", "ro", "card.img", "/Volumes/CARD"}, []string{"ro"}},
		{[]string{"mount_fatvol", "card.img"}, nil},
		{[]string{"mount_fatvol", "-x", "card.img", "/mnt"}, nil},
		{[]string{"fatvol", "mount", "-o", "ro", "card.img", "/mnt"}, nil},
		{[]string{"mount.fatvol", "card.img", "/mnt", "-o", "ro"}, nil},
	} {
		if !isBSDStyle(filepath.Base(tc.argv[0]), tc.argv[1:]) {
			if tc.options != nil {
				t.Errorf("%q: not taken for a call by mount(8)", tc.argv)
			}
			continue
		}
		req, err := bsdRequest("mount_fatvol", tc.argv[1:])
		if (err == nil) != (tc.options != nil) {
			t.Errorf("%q: %v", tc.argv, err)
		}
		if err != nil {
			continue
		}
		if !slices.Equal(req.options, tc.options) || req.image != "card.img" || req.dir == "" {
			t.Errorf("%q: options %q, image %q on %q; want %q", tc.argv, req.options, req.image, req.dir, tc.options)
		}
	}
}
