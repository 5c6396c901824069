package integration

import (
	"bytes"
	le "encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// damagedVolume has a file whose chain leads into a free cluster.
func damagedVolume(t testing.TB) string {
	t.Helper()
	img := mkfsFAT(t, 16<<20, "-F", "16", "-s", "1")
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, bytes.Repeat([]byte("x"), 4096), 0o644); err != nil {
		t.Fatal(err)
	}
	run(t, "mcopy", "-i", img, file, "::GOOD.TXT")
	run(t, "mcopy", "-i", img, file, "::BAD.TXT")
	_, entry := shortEntry(t, img, "BAD     TXT")
	first := int64(le.LittleEndian.Uint16(entry[26:]))
	// The FAT begins behind the reserved sectors.
	raw := make([]byte, 16)
	f, err := os.Open(img)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.ReadAt(raw, 0); err != nil {
		t.Fatal(err)
	}
	start := int64(le.LittleEndian.Uint16(raw[14:])) * 512
	patch(t, img, start+2*(first+1), []byte{0, 0})
	return img
}

func TestErrorsOption(t *testing.T) {
	for _, tc := range []struct {
		options string
		write   error // what a write says after damage was found
	}{
		{"rw", syscall.EROFS},
		{"errors=remount-ro", syscall.EROFS},
		{"errors=continue", nil},
	} {
		dir := mountImage(t, damagedVolume(t), tc.options)
		if _, err := os.ReadFile(filepath.Join(dir, "BAD.TXT")); !errors.Is(err, syscall.EIO) {
			t.Errorf("-o %s: reading the damaged file: %v", tc.options, err)
		}
		if _, err := os.ReadFile(filepath.Join(dir, "GOOD.TXT")); err != nil {
			t.Errorf("-o %s: reading the other file: %v", tc.options, err)
		}
		if err := os.WriteFile(filepath.Join(dir, "new"), nil, 0o644); !errors.Is(err, tc.write) {
			t.Errorf("-o %s: writing: %v, want %v", tc.options, err, tc.write)
		}
		log := servers[dir].log
		umount(t, dir)
		if !strings.Contains(log.String(), "BAD") && !strings.Contains(log.String(), "cluster") {
			t.Errorf("-o %s: the log does not name the place: %s", tc.options, log)
		}
	}
}

func TestErrorsPanic(t *testing.T) {
	dir := mountImage(t, damagedVolume(t), "errors=panic")
	held, err := os.Open(filepath.Join(dir, "GOOD.TXT"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.ReadFile(filepath.Join(dir, "BAD.TXT")); !errors.Is(err, syscall.EIO) {
		t.Errorf("reading the damaged file: %v", err)
	}
	if _, err := held.Stat(); err == nil {
		if _, err := held.Read(make([]byte, 1)); !errors.Is(err, syscall.EIO) {
			t.Errorf("reading another file after the panic: %v", err)
		}
	}
	awaitTrue(t, "detached", func() bool { return mountTable(t, dir) == "" })
	held.Close()
	mounts.Lock()
	s := servers[dir]
	delete(servers, dir)
	mounts.Unlock()
	select {
	case <-s.done:
	case <-time.After(patience):
		t.Fatal("the serving process does not end")
	}
	forgetMount(dir)
	if s.cmd.ProcessState.ExitCode() < 0 {
		t.Errorf("it ended by a signal: %v", s.cmd.ProcessState)
	}
}

// TestErrorsPanicWhileMounting: the repair of a volume that was not unmounted properly may find damage before the
// mount is there, or after it. Either way the process ends by itself, and in order.
func TestErrorsPanicWhileMounting(t *testing.T) {
	img := damagedVolume(t)
	patch(t, img, 0x25, []byte{1}) // not unmounted properly
	for range 10 {
		dir := t.TempDir()
		cmd := exec.Command(binary(t), "mount", "-f", "-o", "errors=panic", img, dir)
		var log bytes.Buffer
		cmd.Stdout, cmd.Stderr = &log, &log
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		noteMount(dir, cmd.Process.Pid)
		late := time.AfterFunc(patience, func() { cmd.Process.Kill() })
		_ = cmd.Wait() // judged by what it says
		late.Stop()
		forgetMount(dir)
		if code := cmd.ProcessState.ExitCode(); code < 0 || strings.Contains(log.String(), "goroutine ") {
			freeMount(dir)
			t.Fatalf("%v: %s", cmd.ProcessState, &log)
		}
		if !strings.Contains(log.String(), "errors=panic") {
			t.Errorf("the log does not say why: %s", &log)
		}
		if left := mountTable(t, dir); left != "" {
			freeMount(dir)
			t.Errorf("still mounted: %s", left)
		}
	}
}

func TestUseFree(t *testing.T) {
	const wrong = 1234
	for options, want := range map[string]bool{"rw": false, "usefree": true} {
		img := mkfsFAT(t, 64<<20, "-F", "32", "-s", "1")
		count := make([]byte, 4)
		le.LittleEndian.PutUint32(count, wrong)
		patch(t, img, 512+488, count)  // FSI_Free_Count
		patch(t, img, 0x41, []byte{1}) // not unmounted cleanly
		patch(t, img, 6*512+0x41, []byte{1})
		dir := mountImage(t, img, "ro,"+options)
		var st syscall.Statfs_t
		if err := syscall.Statfs(dir, &st); err != nil {
			t.Fatal(err)
		}
		if trusted := st.Bfree == wrong; trusted != want {
			t.Errorf("-o %s: %d clusters are free", options, st.Bfree)
		}
		umount(t, dir)
	}
}

func TestFATOption(t *testing.T) {
	img := mkfsFAT(t, 4<<20, "-F", "12")
	for option, want := range map[string]string{"rw": `"fat": 12`, "fat=12": `"fat": 12`, "fat=16": `"fat": 16`} {
		if out := run(t, binary(t), "info", "--json", "-o", option, img); !strings.Contains(out, want) {
			t.Errorf("-o %s: %s is not in %s", option, want, out)
		}
	}
	if out, code := runCode(t, binary(t), "mount", "-o", "fat=32", img, newDir(t)); code != 32 {
		t.Errorf("FAT12 as FAT32: exit code %d, says %s", code, out)
	}
}

func TestDOS1xFloppy(t *testing.T) {
	needFUSE(t)
	img := filepath.Join(t.TempDir(), "floppy.img")
	raw := make([]byte, 160<<10)
	// Two FATs of one sector each behind the boot sector, which has no BPB; 64 entries of root.
	copy(raw[512:], []byte{0xfe, 0xff, 0xff, 0xff, 0x0f})
	copy(raw[1024:], []byte{0xfe, 0xff, 0xff, 0xff, 0x0f})
	entry := dirEntry("HELLO   TXT", 0)
	entry[26], entry[28] = 2, 5
	copy(raw[1536:], entry)
	copy(raw[1536+64*32:], "hello")
	if err := os.WriteFile(img, raw, 0o644); err != nil {
		t.Fatal(err)
	}
	if out, code := runCode(t, binary(t), "mount", img, newDir(t)); code != 32 {
		t.Errorf("without the option: exit code %d, says %s", code, out)
	}
	dir := mountImage(t, img, "dos1xfloppy")
	if text, err := os.ReadFile(filepath.Join(dir, "hello.txt")); err != nil || string(text) != "hello" {
		t.Errorf("%q, %v", text, err)
	}
}

func TestVolumeOptions(t *testing.T) {
	need(t, "sfdisk")
	img := filepath.Join(t.TempDir(), "disk.img")
	if err := os.WriteFile(img, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(img, 32<<20); err != nil {
		t.Fatal(err)
	}
	table := exec.Command("sfdisk", "-q", img)
	table.Stdin = strings.NewReader("label: dos\nlabel-id: 0x12345678\nstart=2048,size=8192,type=6\nstart=16384,size=8192,type=6\n")
	if out, code := runCmd(t, table); code != 0 {
		t.Fatal(out)
	}
	raw, err := os.OpenFile(img, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	for i, start := range []int64{2048 * 512, 16384 * 512} {
		part := mkfsFAT(t, 4<<20, "-n", fmt.Sprintf("PART%d", i+1), "-i", fmt.Sprintf("0000000%d", i+1))
		text, err := os.ReadFile(part)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := raw.WriteAt(text, start); err != nil {
			t.Fatal(err)
		}
	}
	for i, option := range []string{
		"partition=1", "partition=2", "partition=PART1", "partition=PART2", "partition=12345678-01",
		"partition=12345678-02", "partition=0000-0001", "partition=0000-0002", "offset=1048576", "offset=8MiB",
		"offset=1M,sizelimit=4M", "offset=8192K,sizelimit=4194304",
	} {
		dir := mountImage(t, img, option)
		name := fmt.Sprintf("mounted %d", i)
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o644); err != nil {
			t.Error(err)
		}
		umount(t, dir)
		start := []int64{2048 * 512, 16384 * 512}[i%2]
		if out := run(t, "mdir", "-b", "-i", fmt.Sprintf("%s@@%d", img, start), "::"); !strings.Contains(out, name) {
			t.Errorf("-o %s: %q is not in the partition at %d:\n%s", option, name, start, out)
		}
	}
	fsck(t, img, 2048*512)
	fsck(t, img, 16384*512)

	out, code := runCode(t, binary(t), "mount", img, newDir(t))
	for _, want := range []string{"2 FAT volumes", "PART1", "PART2", "partition=1", "partition=2"} {
		if code != 32 || !strings.Contains(out, want) {
			t.Errorf("without a choice: exit code %d, %q is not in %s", code, want, out)
		}
	}
	out, code = runCode(t, binary(t), "mount", "-o", "partition=3", img, newDir(t))
	if code != 32 || !strings.Contains(out, "3") {
		t.Errorf("partition=3: exit code %d, says %s", code, out)
	}
}
