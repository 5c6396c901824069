package integration

import (
	"bytes"
	le "encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
)

const (
	workers   = 16
	workerOps = 150
	record    = 512 // bytes of a record in the shared file
	logLine   = 64  // bytes of a line in the shared log
)

// TestConcurrency has 16 processes create, write, append, read, rename and unlink in directories
// of their own and in one that they share, replace files under the same names, write records into
// one file and append lines to another. Each checks what it can see; in the end, and again after a
// remount, every file must be there, and whole.
func TestConcurrency(t *testing.T) {
	if spec := os.Getenv(workerVariable); spec != "" {
		work(t, spec)
		return
	}
	needFUSE(t)
	need(t, "mkfs.fat", "fsck.fat")
	binary(t)
	for i, w := range widths[1:] {
		t.Run(w.name, func(t *testing.T) {
			img := mkfsFAT(t, w.size, w.args...)
			dir := mountImage(t, img)
			if err := os.Mkdir(filepath.Join(dir, "shared"), 0o777); err != nil {
				t.Fatal(err)
			}
			notes := t.TempDir()
			var wg sync.WaitGroup
			for n := range workers {
				wg.Add(1)
				go func() {
					defer wg.Done()
					cmd := exec.Command(os.Args[0], "-test.run=^TestConcurrency$", "-test.timeout=5m")
					cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d %d %s", workerVariable, n, i, notes), "FATVOL_TEST_DIR="+dir)
					if out, err := cmd.CombinedOutput(); err != nil {
						t.Errorf("worker %d: %v\n%s", n, err, out)
					}
				}()
			}
			wg.Wait()
			if t.Failed() {
				return
			}
			want := map[string]uint32{}
			for n := range workers {
				text, err := os.ReadFile(filepath.Join(notes, fmt.Sprint(n)))
				if err == nil {
					err = json.Unmarshal(text, &want)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			checkShared(t, dir, want)
			umount(t, dir)
			fsck(t, img)
			mountAt(t, img, dir, "ro")
			checkShared(t, dir, want)
			umount(t, dir)
		})
	}
}

// checkShared compares the volume with what the workers left: CRCs by path of the files that one
// worker alone has written.
func checkShared(t *testing.T, dir string, want map[string]uint32) {
	t.Helper()
	got := map[string]uint32{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		switch name := d.Name(); {
		case name == "records":
			checkRecords(t, content)
		case name == "log":
			checkLog(t, content)
		case strings.HasPrefix(name, "contended"):
			if err := whole(content); err != nil {
				t.Errorf("%s: %v", path, err)
			}
		default:
			rel, err := filepath.Rel(dir, path)
			if err != nil {
				return err
			}
			got[rel] = crc32.ChecksumIEEE(content)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if !maps.Equal(got, want) {
		t.Errorf("files on the volume:\n%v\nfiles that the workers left:\n%v", got, want)
	}
}

// checkRecords: every worker has written every one of its records last with its own mark.
func checkRecords(t *testing.T, content []byte) {
	t.Helper()
	if len(content)%record != 0 {
		t.Errorf("%d bytes of records", len(content))
	}
	for i := 0; (i+1)*record <= len(content); i++ {
		r := content[i*record:][:record]
		if len(bytes.Trim(r, "\x00")) != 0 && !bytes.Equal(r, bytes.Repeat(r[:1], record)) || r[0] != 0 && int(r[0]-1) != i%workers {
			t.Errorf("record %d, of worker %d: %.16x… …%x", i, i%workers, r, r[record-8:])
		}
	}
}

// checkLog: every line is whole, and those of one worker are in order and all there.
func checkLog(t *testing.T, content []byte) {
	t.Helper()
	next := map[int]int{}
	for line := range strings.Lines(string(content)) {
		var n, i int
		if _, err := fmt.Sscanf(line, "%d %d", &n, &i); err != nil || len(line) != logLine {
			t.Errorf("broken line %q", line)
			continue
		}
		if i != next[n] {
			t.Errorf("worker %d: line %d comes after %d lines", n, i, next[n])
		}
		next[n] = i + 1
	}
	if len(next) != workers {
		t.Errorf("lines of %d workers in the log", len(next))
	}
	for n, lines := range next {
		if lines != workerOps {
			t.Errorf("worker %d: %d lines", n, lines)
		}
	}
}

// sealed is content of n bytes that says by itself whether it is whole: length and checksum come first.
func sealed(rnd *rand.Rand, n int) []byte {
	b := make([]byte, 8+n)
	for i := range n {
		b[8+i] = byte(rnd.Uint32())
	}
	le.LittleEndian.PutUint32(b, uint32(n))
	le.LittleEndian.PutUint32(b[4:], crc32.ChecksumIEEE(b[8:]))
	return b
}

func whole(b []byte) error {
	if len(b) < 8 || int(le.LittleEndian.Uint32(b)) != len(b)-8 || le.LittleEndian.Uint32(b[4:]) != crc32.ChecksumIEEE(b[8:]) {
		return fmt.Errorf("the file is not whole: %d bytes, beginning with %.16x", len(b), b)
	}
	return nil
}

// workerVariable says to a process which of the workers of TestConcurrency it is.
const workerVariable = "FATVOL_TEST_WORKER"

// work is what one of the processes of TestConcurrency does.
func work(t *testing.T, spec string) {
	w := &worker{T: t, dir: os.Getenv("FATVOL_TEST_DIR"), files: map[string][]byte{}}
	var seed uint64
	var notes string
	if _, err := fmt.Sscanf(spec, "%d %d %s", &w.n, &seed, &notes); err != nil {
		t.Fatal(err)
	}
	w.rnd = rand.New(rand.NewPCG(seed, uint64(w.n)))
	w.must(os.Mkdir(filepath.Join(w.dir, w.own()), 0o777))
	for i := range workerOps {
		w.step(i)
	}
	crcs := map[string]uint32{}
	for path, content := range w.files {
		crcs[path] = crc32.ChecksumIEEE(content)
	}
	text, err := json.Marshal(crcs)
	w.must(err)
	w.must(os.WriteFile(filepath.Join(notes, fmt.Sprint(w.n)), text, 0o666))
}

type worker struct {
	*testing.T
	dir   string // of the mount
	n     int
	rnd   *rand.Rand
	files map[string][]byte // what this worker alone writes, by path below dir
}

func (w *worker) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *worker) own() string             { return fmt.Sprintf("Directory of worker %d", w.n) }
func (w *worker) path(name string) string { return filepath.Join(w.dir, name) }
func (w *worker) contended() string       { return w.path(fmt.Sprintf("shared/contended %d", w.rnd.IntN(4))) }
func (w *worker) newName(i int) string {
	return []string{w.own(), "shared"}[w.rnd.IntN(2)] + fmt.Sprintf("/File %d of worker %d", i, w.n)
}
func (w *worker) content() []byte { return sealed(w.rnd, w.rnd.IntN(20_000)) }
func (w *worker) some() (name string) {
	names := slices.Sorted(maps.Keys(w.files))
	if len(names) == 0 {
		return ""
	}
	return names[w.rnd.IntN(len(names))]
}

// step is one line in the log and one more operation.
func (w *worker) step(i int) {
	w.appendTo("shared/log", fmt.Appendf(nil, "%-*s\n", logLine-1, fmt.Sprintf("%d %d", w.n, i)))
	name := w.some()
	switch op := w.rnd.IntN(10); {
	case op < 3 || name == "":
		name, content := w.newName(i), w.content()
		w.must(os.WriteFile(w.path(name), content, 0o666))
		w.files[name] = content
		w.verify(name)
	case op < 4:
		more := w.content()
		w.appendTo(name, more)
		w.files[name] = append(w.files[name], more...)
		w.verify(name)
	case op < 5:
		to := w.newName(i)
		w.must(os.Rename(w.path(name), w.path(to)))
		w.files[to] = w.files[name]
		delete(w.files, name)
		if _, err := os.Lstat(w.path(name)); !errors.Is(err, syscall.ENOENT) {
			w.Errorf("%s after it was renamed: %v", name, err)
		}
		w.verify(to)
	case op < 6:
		w.must(os.Remove(w.path(name)))
		delete(w.files, name)
	case op < 7:
		w.verify(name)
	case op < 8:
		w.record()
	default:
		w.contend(i)
	}
}

func (w *worker) verify(name string) {
	w.Helper()
	got, err := os.ReadFile(w.path(name))
	w.must(err)
	if !bytes.Equal(got, w.files[name]) {
		w.Errorf("%s: %d bytes, not the %d that were written", name, len(got), len(w.files[name]))
	}
}

// appendTo appends in a single write.
func (w *worker) appendTo(name string, b []byte) {
	w.Helper()
	f, err := os.OpenFile(w.path(name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o666)
	w.must(err)
	_, err = f.Write(b)
	w.must(err)
	w.must(f.Close())
}

// record writes one of this worker's records in the file that all write, and reads it back.
func (w *worker) record() {
	f, err := os.OpenFile(w.path("shared/records"), os.O_CREATE|os.O_RDWR, 0o666)
	w.must(err)
	defer f.Close()
	at := int64(w.rnd.IntN(64)*workers+w.n) * record
	mark := bytes.Repeat([]byte{byte(w.n + 1)}, record)
	_, err = f.WriteAt(mark, at)
	w.must(err)
	got := make([]byte, record)
	_, err = f.ReadAt(got, at)
	w.must(err)
	if !bytes.Equal(got, mark) {
		w.Errorf("record at %d reads %.16x…", at, got)
	}
}

// contend replaces, removes or reads a file that the others replace, remove and read too: it is
// not there, or whole.
func (w *worker) contend(i int) {
	name := w.contended()
	switch w.rnd.IntN(4) {
	case 0, 1:
		tmp := w.path(fmt.Sprintf("%s/new %d", w.own(), i))
		w.must(os.WriteFile(tmp, w.content(), 0o666))
		w.must(os.Rename(tmp, name))
	case 2:
		if err := os.Remove(name); err != nil && !errors.Is(err, syscall.ENOENT) {
			w.Error(err)
		}
	default:
		content, err := os.ReadFile(name)
		if errors.Is(err, syscall.ENOENT) {
			return
		}
		w.must(err)
		if err := whole(content); err != nil {
			w.Errorf("%s: %v", name, err)
		}
	}
}
