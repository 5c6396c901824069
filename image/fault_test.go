package image_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"testing/fstest"
	"time"

	"fatvol/image"
	"fatvol/image/device/faultdev"
	"fatvol/image/fat"
	"fatvol/image/fat/fattest"
)

// TestEveryOperationFails breaks operation 1, 2, 3 … of the device: somebody is told each time, the file
// that was to be replaced is the old one or the new one, and the volume is sound.
func TestEveryOperationFails(t *testing.T) {
	before, after := []byte("what was there"), bytes.Repeat([]byte("what is to be there "), 500)
	for _, l := range layouts[:2] {
		t.Run(fmt.Sprintf("FAT%d", l.Width), func(t *testing.T) {
			base := fattest.Formatted(t, l)
			f, err := image.NewFS(base, fat.Options{})
			if err != nil {
				t.Fatal(err)
			}
			fill(t, f, map[string][]byte{"dir/file": before, "dir/other": after})
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
			for k := int64(1); ; k++ {
				mem := base.Clone()
				dev := faultdev.New(mem)
				// Nothing happens in the background: each failure is somebody's. So the free clusters, which
				// are counted there and again by whoever asks, have been counted before.
				f, err := image.NewFS(dev, fat.Options{CommitDelay: -time.Second})
				if err != nil {
					t.Fatal(err)
				}
				if _, err := f.Space(); err != nil {
					t.Fatal(err)
				}
				dev.Reset()
				dev.Inject(faultdev.Rule{From: k, Count: 1})
				err = replaceAndRead(f, after)
				if dev.Injected() == 0 {
					if err != nil {
						t.Fatalf("without a failure: %v", err)
					}
					break
				}
				if err == nil {
					t.Errorf("operation %d failed and nobody was told", k)
				}
				r, checkErr := fattest.Check(mem)
				if checkErr != nil {
					t.Fatalf("operation %d: %v", k, checkErr)
				}
				if err := r.DamageErr(); err != nil {
					t.Errorf("operation %d: %v", k, err)
				}
				file := r.Find("dir/file")
				if file == nil {
					t.Errorf("operation %d: the file is gone", k)
					continue
				}
				if got, err := file.Contents(); err != nil || !bytes.Equal(got, before) && !bytes.Equal(got, after) {
					t.Errorf("operation %d: %d bytes of neither the old file nor the new one (%v)", k, len(got), err)
				}
			}
		})
	}
}

// replaceAndRead is what a program does with a volume.
func replaceAndRead(f *image.FS, after []byte) error {
	err := errors.Join(f.WriteFile("dir/file", after, 0o666), f.Sync())
	_, readErr := f.ReadFile("dir/other")
	_, statErr := f.Stat("dir/file")
	return errors.Join(err, readErr, statErr, f.Mkdir("new", 0o777), f.Close())
}

// TestDeviceGone: what reads fails truthfully, and nothing seems not to exist.
func TestDeviceGone(t *testing.T) {
	mem := fattest.Formatted(t, layouts[1])
	dev := faultdev.New(mem)
	f, err := image.NewFS(dev, fat.Options{})
	if err != nil {
		t.Fatal(err)
	}
	fill(t, f, contents())
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	dev.Vanish(faultdev.EIO)
	for _, name := range []string{"README.TXT", "no such file", "dir"} {
		if _, err := f.Stat(name); !errors.Is(err, faultdev.ErrInjected) {
			t.Errorf("stat %s: %v", name, err)
		}
		if _, err := f.ReadFile(name); !errors.Is(err, faultdev.ErrInjected) {
			t.Errorf("read %s: %v", name, err)
		}
	}
	if list, err := f.ReadDir("."); !errors.Is(err, faultdev.ErrInjected) || len(list) != 0 {
		t.Errorf("list: %v, %v", list, err)
	}
	if err := f.WriteFile("new", nil, 0o666); !errors.Is(err, faultdev.ErrInjected) {
		t.Errorf("write: %v", err)
	}
	dev.Heal()
	if err := fstest.TestFS(f, "README.TXT", "dir/.hidden"); err != nil {
		t.Error(err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	sameContents(t, mem, contents())
}
