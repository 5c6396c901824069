package integration

import (
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"fatvol/image/fat/fattest"
)

var (
	kills    = flag.Int("kills", 40, "how often TestKilled kills the process that serves the mount")
	killSeed = flag.Uint64("kill-seed", 1, "seed of TestKilled")
)

// A keeper saves a document again and again, as editors do, and knows what it was promised: the version of
// the last fsync or rename that was followed by a sync, or any later one.
type keeper struct {
	mu       sync.Mutex
	name     string
	versions []string
	safe     int // index of the oldest version that may be found
}

func (k *keeper) save(dir string, rng *rand.Rand, round int) error {
	text := strings.Repeat(fmt.Sprintf("%s, version %d of round %d. ", k.name, len(k.versions), round), 1+rng.IntN(900))
	k.mu.Lock()
	k.versions = append(k.versions, text)
	mine := len(k.versions) - 1
	k.mu.Unlock()
	temp, final := filepath.Join(dir, k.name+".tmp~"), filepath.Join(dir, k.name)
	f, err := os.Create(temp)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(temp, final)
	}
	if err == nil && rng.IntN(2) == 0 {
		var d *os.File
		if d, err = os.Open(dir); err == nil {
			err = d.Sync()
			d.Close()
		}
		if err == nil {
			k.mu.Lock()
			k.safe = mine
			k.mu.Unlock()
		}
	}
	return err
}

// check looks whether the document is a version that may be found.
func (k *keeper) check(r *fattest.Report) error {
	f := r.Find(k.name)
	if f == nil {
		if k.safe < 0 {
			return nil
		}
		return fmt.Errorf("%s is gone", k.name)
	}
	got, err := f.Contents()
	if err != nil {
		return fmt.Errorf("%s: %w", k.name, err)
	}
	for i := max(k.safe, 0); i < len(k.versions); i++ {
		if string(got) == k.versions[i] {
			k.versions, k.safe = k.versions[i:i+1], 0 // what comes next builds on it
			return nil
		}
	}
	return fmt.Errorf("%s has %d bytes that are none of the %d versions it may have", k.name, len(got), len(k.versions)-max(k.safe, 0))
}

// TestKilled kills the process that serves the mount, at random moments while programs write. What is in
// the image then is what a cut leaves: no damage, and whatever a sync has covered. The next mount repairs it.
func TestKilled(t *testing.T) {
	needFUSE(t)
	n := *kills
	if testing.Short() {
		n = min(n, 8)
	}
	for _, args := range [][]string{{"-F", "16", "-s", "1"}, {"-F", "12", "-s", "4"}} {
		img := mkfsFAT(t, 7<<20, args...)
		keepers := []*keeper{{name: "first document.txt", safe: -1}, {name: "SECOND.TXT", safe: -1}}
		rng := rand.New(rand.NewPCG(*killSeed, 0))
		for round := range n / 2 {
			if err := killOnce(t, img, keepers, rng, round); err != nil {
				t.Fatalf("%v, kill %d: %v\nto repeat: -run TestKilled -kill-seed %d", args, round, err, *killSeed)
			}
		}
		dir := mountImage(t, img)
		await(t, dir, "repaired", func(st mediumStatus) bool { return st.Repair != "running" })
		umount(t, dir)
		fsck(t, img)
	}
}

// killOnce mounts, has programs write, kills, and looks at the image.
func killOnce(t *testing.T, img string, keepers []*keeper, rng *rand.Rand, round int) error {
	dir := filepath.Join(t.TempDir(), "mnt")
	if err := os.Mkdir(dir, 0o777); err != nil {
		return err
	}
	s, err := startServer(t, img, dir)
	if err != nil {
		return err
	}
	var users sync.WaitGroup
	for i, k := range keepers {
		users.Add(1)
		own := rand.New(rand.NewPCG(rng.Uint64(), uint64(i)))
		go func() {
			defer users.Done()
			for k.save(dir, own, round) == nil { // until the process is dead
			}
		}()
	}
	users.Add(1)
	go func() { // names and directories that come and go
		defer users.Done()
		for i := 0; ; i++ {
			sub := filepath.Join(dir, fmt.Sprintf("directory %d", i%5))
			if os.MkdirAll(filepath.Join(sub, "below"), 0o777) != nil ||
				os.WriteFile(filepath.Join(sub, "below", fmt.Sprint("file ", i)), make([]byte, i%5000), 0o666) != nil {
				return
			}
			if i%3 == 0 && os.RemoveAll(sub) != nil {
				return
			}
		}
	}()
	time.Sleep(time.Duration(rng.IntN(400)) * time.Millisecond) // the moment is what is random
	s.cmd.Process.Kill()
	<-s.done
	users.Wait()
	freeMount(dir)
	f, err := os.Open(img)
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	r, err := fattest.Check(io.NewSectionReader(f, 0, st.Size()))
	if err == nil {
		err = r.DamageErr()
	}
	for _, k := range keepers {
		if err == nil {
			err = k.check(r)
		}
	}
	return err
}
