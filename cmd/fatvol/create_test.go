package main

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"fatvol/image"
)

// create runs `fatvol create` and returns what it prints.
func create(t *testing.T, args ...string) (out string, err error) {
	t.Helper()
	var b bytes.Buffer
	root := rootCommand()
	root.SetOut(&b)
	root.SetArgs(append([]string{"create"}, args...))
	err = root.ExecuteContext(context.Background())
	return b.String(), err
}

// sampleDir is a directory with a few files.
func sampleDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]string{"a.txt": "first", "Sub dir/b with a long name.txt": "second", "Sub dir/c": strings.Repeat("x", 10000)} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		at := time.Unix(1700000000, 0)
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// readImage reads the files of the volume in an image, by path.
func readImage(t *testing.T, path string) map[string]string {
	t.Helper()
	v, err := image.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	files := map[string]string{}
	err = fs.WalkDir(v, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := fs.ReadFile(v, name)
		files[name] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func wantSample(t *testing.T, path string) {
	t.Helper()
	got := readImage(t, path)
	if len(got) != 3 || got["a.txt"] != "first" || got["Sub dir/b with a long name.txt"] != "second" || len(got["Sub dir/c"]) != 10000 {
		t.Errorf("%s holds %.200q", path, fmt.Sprint(got))
	}
}

func TestCreate(t *testing.T) {
	dir, out := sampleDir(t), t.TempDir()
	for i, args := range [][]string{
		{"--size", "1.44M"}, {"--size", "16M", "--label", "my disk", "--serial", "1234-abcd"}, {"--fit"},
		{"--fit", "--spare", "4M", "--partition", "mbr"}, {"--size", "64M", "--fat", "32", "--partition", "gpt:esp"},
		{"--size", "32M", "--sector", "4096", "--cluster", "4K", "--fats", "1"},
	} {
		path := filepath.Join(out, fmt.Sprint(i))
		text, err := create(t, append(args, "--from", dir, path)...)
		if err != nil {
			t.Errorf("%q: %v", args, err)
			continue
		}
		if !strings.Contains(text, "3 files and 1 directory") {
			t.Errorf("%q: %q", args, text)
		}
		wantSample(t, path)
	}
	info, err := readInfo(filepath.Join(out, "1"), &config{}, infoScan{fragments: true})
	if err != nil {
		t.Fatal(err)
	}
	if v := info.Partitions[0].Volume; v.Label != "MY DISK" || v.Serial != "1234-ABCD" || v.Fragments == nil || v.Fragments.Fragments != v.Fragments.Chains {
		t.Errorf("%+v", v)
	}
	if info, err = readInfo(filepath.Join(out, "4"), &config{}, infoScan{}); err != nil || info.Scheme != "gpt" || info.Partitions[0].TypeName != "EFI system" ||
		info.Partitions[0].Start != 1<<20 || len(info.Notes) > 0 || info.Damage != "" {
		t.Errorf("%+v, %v", info, err)
	}
	if left, _ := filepath.Glob(filepath.Join(out, ".*")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

// TestCreateRefuses: nothing is written by a command that cannot succeed, and the message says why.
func TestCreateRefuses(t *testing.T) {
	dir, out := sampleDir(t), t.TempDir()
	there := filepath.Join(out, "there")
	if err := os.WriteFile(there, []byte("precious"), 0o644); err != nil {
		t.Fatal(err)
	}
	broken := t.TempDir()
	if err := errors.Join(os.Symlink("nowhere", filepath.Join(broken, "link")), os.WriteFile(filepath.Join(broken, "a:b"), nil, 0o644)); err != nil {
		t.Fatal(err)
	}
	many := t.TempDir()
	for i := range 300 {
		if err := os.WriteFile(filepath.Join(many, fmt.Sprint("F", i)), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(out, "image")
	for _, c := range []struct {
		code int
		want string
		args []string
	}{
		{exitUsage, "--fit makes it as large", []string{path}},
		{exitUsage, "exclude each other", []string{path, "--size", "1M", "--fit"}},
		{exitUsage, `"lots" is not a number of bytes`, []string{path, "--size", "lots"}},
		{exitUsage, `"13" is not one of`, []string{path, "--size", "1M", "--fat", "13"}},
		{exitUsage, `"apm" is not one of`, []string{path, "--size", "1M", "--partition", "apm"}},
		{exitUsage, `is not a serial number`, []string{path, "--size", "1M", "--serial", "xyz"}},
		{exitUsage, `goes with --fit`, []string{path, "--size", "1M", "--spare", "1M"}},
		{exitFailed, "at most 11 bytes", []string{path, "--size", "1M", "--label", "much too long a label"}},
		{exitFailed, "too small for FAT32: at least", []string{path, "--size", "1M", "--fat", "32"}},
		{exitFailed, "does not fit: at least 40 KiB, or --fit: nothing was written", []string{path, "--size", "32K", "--from", dir}},
		{exitFailed, "file already exists: --force replaces it", []string{there, "--size", "1M"}},
		{exitFailed, "FAT cannot hold the 2 files above: nothing was written: --follow", []string{path, "--fit", "--from", broken}},
		{exitFailed, "no such file", []string{path, "--fit", "--from", filepath.Join(out, "none")}},
		{exitFailed, "neither a directory nor a tar archive", []string{path, "--fit", "--from", there}},
		{exitFailed, "no such file", []string{filepath.Join(out, "none", "image"), "--size", "1M"}},
		{exitFailed, "is a directory", []string{out, "--size", "1M", "--force"}},
		{exitFailed, "holds 224 entries, 300 are needed: put files into a directory: nothing was written", []string{path, "--size", "1.44M", "--from", many}},
		{exitFailed, "too large for FAT12 with clusters of 512 bytes: at most", []string{path, "--size", "1G", "--fat", "12", "--cluster", "512"}},
		{exitFailed, "too small for FAT32 with clusters of 32768 bytes: at least", []string{path, "--size", "64M", "--fat", "32", "--cluster", "32K"}},
		{exitFailed, "too large for FAT12: at most 267845120 bytes (about 255.4 MiB)", []string{path, "--size", "1G", "--fat", "12"}},
		{exitFailed, "100 bytes is less than a sector", []string{path, "--size", "100"}},
		{exitFailed, "4 KiB is too small for a FAT volume: at least 24 KiB", []string{path, "--size", "4K"}},
		{exitFailed, "1 MiB is too small for a partition, which begins at 1 MiB", []string{path, "--size", "1M", "--partition", "mbr"}},
		{exitFailed, "sectors of 1024 bytes would do", []string{path, "--size", "3T"}},
		{exitFailed, "5 FATs: there are 1 to 4", []string{path, "--size", "1M", "--fats", "5"}},
		{exitFailed, "sectors of 1000 bytes: there are 512", []string{path, "--size", "1M", "--sector", "1000"}},
		{exitFailed, "with sectors of 4096 bytes there are 4096", []string{path, "--size", "1M", "--sector", "4096", "--cluster", "2K"}},
		{exitFailed, "too small for a FAT volume: at least 24 KiB", []string{path, "--size", "1K"}},
		{exitUsage, "is no boot sector", []string{path, "--size", "1M", "--boot", there}},
	} {
		_, err := create(t, c.args...)
		if err == nil || exitCode(err) != c.code || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %d, %v; want %d, %q", c.args, exitCode(err), err, c.code, c.want)
		}
	}
	entries, err := os.ReadDir(out)
	if b, _ := os.ReadFile(there); err != nil || len(entries) != 1 || string(b) != "precious" {
		t.Errorf("%v, %v, %q", entries, err, b)
	}
	if _, err := create(t, path, "--fit", "--from", broken, "--skip"); err != nil {
		t.Error(err)
	}
	if got := readImage(t, path); len(got) != 0 {
		t.Errorf("%q", got)
	}
}

func TestCreateForce(t *testing.T) {
	dir, out := sampleDir(t), t.TempDir()
	path, link := filepath.Join(out, "image"), filepath.Join(out, "link")
	if err := errors.Join(os.WriteFile(path, []byte("old"), 0o644), os.Symlink("image", link)); err != nil {
		t.Fatal(err)
	}
	if _, err := create(t, link, "--fit", "--force", "--from", dir); err != nil {
		t.Fatal(err)
	}
	wantSample(t, path)
	if st, err := os.Lstat(link); err != nil || st.Mode()&fs.ModeSymlink == 0 {
		t.Errorf("%v, %v", st, err)
	}
	// An image that somebody uses stays.
	im, err := image.OpenVolume(path, image.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer im.Close()
	if _, err := create(t, path, "--fit", "--force"); !errors.Is(err, image.ErrLocked) {
		t.Errorf("%v", err)
	}
}

// TestCreateReproducible: the same bytes whatever the zone, the order and the hour.
func TestCreateReproducible(t *testing.T) {
	var sums []string
	for i, zone := range []string{"UTC", "Asia/Tokyo"} {
		loc, err := time.LoadLocation(zone)
		if err != nil {
			t.Skip(err)
		}
		old := time.Local
		time.Local = loc
		t.Cleanup(func() { time.Local = old })
		t.Setenv("SOURCE_DATE_EPOCH", "1600000000")
		dir, path := sampleDir(t), filepath.Join(t.TempDir(), "image")
		if _, err := create(t, path, "--fit", "--reproducible", "--label", "R", "--partition", "gpt", "--from", dir); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		sums = append(sums, fmt.Sprintf("%x", sha256.Sum256(b)))
		if i > 0 && sums[i] != sums[0] {
			t.Errorf("%s: %s, first %s", zone, sums[i], sums[0])
		}
	}
	t.Setenv("SOURCE_DATE_EPOCH", "yesterday")
	if _, err := create(t, filepath.Join(t.TempDir(), "image"), "--fit", "--reproducible"); err == nil || exitCode(err) != exitUsage {
		t.Errorf("%v", err)
	}
}

// TestCreateFromPipe reads a tar archive from a FIFO, as from a pipe.
func TestCreateFromPipe(t *testing.T) {
	dir := t.TempDir()
	fifo, path := filepath.Join(dir, "fifo"), filepath.Join(dir, "image")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Skip(err)
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for name, content := range map[string]string{"./a.txt": "first", "./Sub dir/b with a long name.txt": "second", "Sub dir/c": strings.Repeat("x", 10000)} {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(content)), Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	go func() { _ = os.WriteFile(fifo, b.Bytes(), 0) }()
	if _, err := create(t, path, "--fit", "--from", fifo); err != nil {
		t.Fatal(err)
	}
	wantSample(t, path)
	if left, _ := filepath.Glob(filepath.Join(dir, ".*")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}
