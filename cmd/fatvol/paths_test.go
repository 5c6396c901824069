package main

import (
	"os"
	"path/filepath"
	"testing"
)

func TestAbsoluteImage(t *testing.T) {
	top, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"real/deep", "other"} {
		if err := os.MkdirAll(filepath.Join(top, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	img := filepath.Join(top, "real", "a.img")
	if err := os.WriteFile(img, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for link, to := range map[string]string{"link": "real/deep", "other/a.link": "../real/a.img"} {
		if err := os.Symlink(to, filepath.Join(top, link)); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(top)
	for _, tc := range []struct{ path, want string }{
		{img, img},
		{"real/a.img", img},
		{"./real//a.img", img},
		{"real/deep/../a.img", img},
		{"link/../a.img", img}, // the kernel's way: up from where the link leads
		{"other/a.link", filepath.Join(top, "other/a.link")},
	} {
		if got, err := absoluteImage(tc.path); err != nil || got != tc.want {
			t.Errorf("absoluteImage(%q) = %q, %v; want %q", tc.path, got, err, tc.want)
		}
	}
	for _, bad := range []string{"", "missing", "real/a.img/", "missing/a.img", "real/a.img/.."} {
		if got, err := absoluteImage(bad); err == nil {
			t.Errorf("absoluteImage(%q) = %q", bad, got)
		}
	}
}

func TestAbsolutePath(t *testing.T) {
	top, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(top, "real/deep"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("real/deep", filepath.Join(top, "link")); err != nil {
		t.Fatal(err)
	}
	t.Chdir(top)
	for _, tc := range []struct{ path, want string }{
		{"/", "/"},
		{"//", "/"},
		{".", top},
		{"mnt", filepath.Join(top, "mnt")},
		{"mnt/", filepath.Join(top, "mnt")},
		{"link/mnt//", filepath.Join(top, "real/deep/mnt")},
		{"link/../mnt", filepath.Join(top, "real/mnt")},
		{"link/..", filepath.Join(top, "real")},
		{"link", filepath.Join(top, "link")},
	} {
		if got, err := absolutePath(tc.path); err != nil || got != tc.want {
			t.Errorf("absolutePath(%q) = %q, %v; want %q", tc.path, got, err, tc.want)
		}
	}
}

func TestFUSEStyle(t *testing.T) {
	img := filepath.Join(t.TempDir(), "a.img")
	if err := os.WriteFile(img, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	t.Chdir(filepath.Dir(img))
	commands := rootCommand().Commands()
	for _, tc := range []struct {
		args []string
		want bool
	}{
		{[]string{img, "/mnt", "-o", "rw"}, true},
		{[]string{"a.img", "/mnt"}, true},
		{[]string{"/missing.img", "/mnt"}, true},
		{[]string{"mount", img, "/mnt"}, false},
		{[]string{"unmount", "/mnt"}, false},
		{[]string{"muont", "a.img", "/mnt"}, false},
		{[]string{"--help"}, false},
		{[]string{"a.img"}, false},
		{nil, false},
	} {
		if got := isFUSEStyle(commands, tc.args); got != tc.want {
			t.Errorf("isFUSEStyle(%q) = %v", tc.args, got)
		}
	}
}
