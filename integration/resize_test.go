package integration

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func sizeOf(t *testing.T, path string) int64 {
	t.Helper()
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return st.Size()
}

func TestResize(t *testing.T) {
	for _, tc := range []struct {
		name string
		size string
		mkfs []string
		to   []string // one after the other
		last int64
	}{
		{"FAT12", "4M", []string{"-F", "12", "-s", "8"}, []string{"6M", "min", "12M", "-8M"}, 4 << 20},
		{"FAT16", "16M", []string{"-F", "16"}, []string{"+84M", "20M", "64M"}, 64 << 20},
		{"FAT32", "40M", []string{"-F", "32", "-s", "1"}, []string{"100M", "min", "+100K", "1G"}, 1 << 30},
	} {
		t.Run(tc.name, func(t *testing.T) {
			img, extract := piecemeal(t, tc.size, tc.mkfs...)
			before := extract()
			for _, to := range tc.to {
				raw := sizeOf(t, img)
				if out := run(t, binary(t), "resize", "--dry-run", img, to); !strings.Contains(out, "to be") || sizeOf(t, img) != raw {
					t.Errorf("dry run to %s: %s", to, out)
				}
				run(t, binary(t), "resize", "-q", img, to)
				sound(t, img)
				run(t, "diff", "-r", before, extract())
			}
			if got := sizeOf(t, img); got != tc.last {
				t.Errorf("the image has %d bytes, want %d", got, tc.last)
			}
			// There is room for what it can hold now.
			run(t, binary(t), "defrag", "-q", "--pack", img)
			sound(t, img)
		})
	}
}

// partitioned makes an image with a table and a FAT volume with a file in a partition.
func partitioned(t *testing.T, script string, number, startSector, sectors int) (img, volume string) {
	t.Helper()
	need(t, "sfdisk", "mkfs.fat", "mcopy", "fsck.fat")
	img = filepath.Join(t.TempDir(), "disk.img")
	run(t, "truncate", "-s", "64M", img)
	table := exec.Command("sfdisk", "-q", img)
	table.Stdin = strings.NewReader(script)
	if out, code := runCmd(t, table); code != 0 {
		t.Fatal(out)
	}
	run(t, "mkfs.fat", "-F", "16", "--offset", fmt.Sprint(startSector), img, fmt.Sprint(sectors/2))
	volume = fmt.Sprintf("%s@@%d", img, startSector*512)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, bytes.Repeat([]byte("contents"), 50_000), 0o644); err != nil {
		t.Fatal(err)
	}
	run(t, "mcopy", "-i", volume, file, "::/A file.bin")
	return img, volume
}

// checkPartition has the volume in a partition looked at by fsck.fat and mtools.
func checkPartition(t *testing.T, img, volume string, start, size int64) {
	t.Helper()
	raw, err := os.ReadFile(img)
	if err != nil {
		t.Fatal(err)
	}
	if int64(len(raw)) < start+size {
		t.Fatalf("image of %d bytes, partition up to %d", len(raw), start+size)
	}
	part := filepath.Join(t.TempDir(), "part.img")
	if err := os.WriteFile(part, raw[start:start+size], 0o644); err != nil {
		t.Fatal(err)
	}
	sound(t, part)
	out := filepath.Join(t.TempDir(), "out")
	run(t, "mcopy", "-i", volume, "::/A file.bin", out)
	if got, err := os.ReadFile(out); err != nil || !bytes.Equal(got, bytes.Repeat([]byte("contents"), 50_000)) {
		t.Errorf("the file has changed (%v)", err)
	}
}

func TestResizePartition(t *testing.T) {
	for _, tc := range []struct {
		name, script  string
		number, start int
		sectors       int
		to            string
		want          int64 // bytes of the partition
		image         int64
	}{
		{"MBR, before another", "label: dos\nstart=2048,size=32768,type=6\nstart=65536,size=2048,type=83\n", 1, 2048, 32768, "max", 63488 * 512, 64 << 20},
		{"MBR, last, within the image", "label: dos\nstart=2048,size=2048,type=83\nstart=8192,size=32768,type=6\n", 2, 8192, 32768, "+8M", 24 << 20, 28 << 20},
		{"MBR, last, larger image", "label: dos\nstart=2048,size=2048,type=83\nstart=8192,size=32768,type=6\n", 2, 8192, 32768, "100M", 100 << 20, 104 << 20},
		{"MBR, smaller", "label: dos\nstart=2048,size=65536,type=6\nstart=100000,size=2048,type=83\n", 1, 2048, 65536, "16M", 16 << 20, 64 << 20},
		{"GPT, before another", "label: gpt\nstart=2048,size=32768,type=uefi\nstart=65536,size=2048,type=linux\n", 1, 2048, 32768, "+4M", 20 << 20, 64 << 20},
		{"GPT, last, larger image", "label: gpt\nstart=2048,size=2048,type=linux\nstart=8192,size=32768,type=uefi\n", 2, 8192, 32768, "80M", 80 << 20, 84<<20 + 33*512},
		{"GPT, last, smaller image", "label: gpt\nstart=2048,size=65536,type=uefi,name=BOOT\n", 1, 2048, 65536, "16M", 16 << 20, 17<<20 + 33*512},
	} {
		t.Run(tc.name, func(t *testing.T) {
			img, volume := partitioned(t, tc.script, tc.number, tc.start, tc.sectors)
			run(t, binary(t), "resize", fmt.Sprintf("%s:%d", img, tc.number), tc.to)
			if got := sizeOf(t, img); got != tc.image {
				t.Errorf("the image has %d bytes, want %d", got, tc.image)
			}
			checkPartition(t, img, volume, int64(tc.start)*512, tc.want)
			info := readInfo(t, img)
			if p := info.Partitions[tc.number-1]; p.Size != tc.want || p.Volume == nil || p.Volume.Size != tc.want {
				t.Errorf("partition of %d bytes, want %d; volume %+v", p.Size, tc.want, p.Volume)
			}
			if out, code := runCode(t, "sfdisk", "--verify", img); code != 0 || strings.Contains(out, "corrupt") || strings.Contains(out, "invalid") {
				t.Errorf("sfdisk: exit code %d:\n%s", code, out)
			}
		})
	}
}

func TestResizeRefuses(t *testing.T) {
	img, _ := piecemeal(t, "16M", "-F", "16")
	logical, _ := partitioned(t, "label: dos\nstart=2048,size=100000,type=f\nstart=4096,size=32768,type=6\n", 5, 4096, 32768)
	tight, _ := partitioned(t, "label: dos\nstart=2048,size=32768,type=6\nstart=34816,size=2048,type=83\n", 1, 2048, 32768)
	lost, _ := piecemeal(t, "16M", "-F", "16")
	raw, err := os.ReadFile(lost)
	if err != nil {
		t.Fatal(err)
	}
	at := int(raw[14])*512 + 2*8000
	copy(raw[at:], []byte{0xff, 0xff})
	if err := os.WriteFile(lost, raw, 0o644); err != nil {
		t.Fatal(err)
	}
	full, _ := piecemeal(t, "4M", "-F", "12", "-s", "8")
	for _, tc := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{lost, "10M"}, 32, "lost clusters"},
		{[]string{full, "300K"}, 32, "no space"},
		{[]string{img, "2G"}, 32, "too many for FAT16"},
		{[]string{img, "1M"}, 32, "too few for FAT16"},
		{[]string{img, "-20M"}, 32, "cannot be"},
		{[]string{img, "lots"}, 1, "none of"},
		{[]string{img, "0"}, 1, "none of"},
		{[]string{img}, 1, "SIZE"},
		{[]string{logical + ":5", "20M"}, 32, "logical"},
		{[]string{tight + ":1", "+1M"}, 32, "another partition"},
		{[]string{tight + ":2", "+1M"}, 32, ""},
		{[]string{filepath.Join(t.TempDir(), "missing"), "1M"}, 32, "no such image"},
	} {
		before, _ := os.ReadFile(strings.Split(tc.args[0], ":")[0])
		out, code := runCode(t, binary(t), append([]string{"resize"}, tc.args...)...)
		// What is to be done may be said before it turns out that it cannot be.
		if code != tc.code || !strings.Contains(out, tc.says) || strings.Count(out, "fatvol: ") != 1 {
			t.Errorf("resize %q: exit code %d, says %q; want %d, %q", tc.args[1:], code, out, tc.code, tc.says)
		}
		if after, _ := os.ReadFile(strings.Split(tc.args[0], ":")[0]); !bytes.Equal(before, after) {
			t.Errorf("resize %q has written to the image", tc.args[1:])
		}
	}
}
