package integration

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"fatvol/image/device"
)

// A FUSE host with one file, the image, that stops answering or answers with errors when it is told to. It
// is served by a process of its own, this program again, so that what hangs there hangs nothing here.

const (
	hostVariable = "FATVOL_TEST_HOST" // the backing file and the mount point, in a list of paths
	hostImage    = "volume.img"
)

// hostFaults is what happens to calls.
type hostFaults struct {
	inside   sync.RWMutex // held shared by each call
	mu       sync.Mutex
	calls    int // since the last command
	data     int // those of them that read, write or sync
	held     int // those that hang
	from     int // the first call that is hit; 0: none
	errno    syscall.Errno
	released chan struct{} // what hangs waits for it; nil for an errno

	pace pace
}

// call does a call of the host, or what is to happen instead.
func (h *hostFaults) call(data bool, do func() error) syscall.Errno {
	h.inside.RLock()
	defer h.inside.RUnlock()
	if errno := h.enter(data); errno != 0 {
		return errno
	}
	return fs.ToErrno(do())
}

func (h *hostFaults) enter(data bool) syscall.Errno {
	h.mu.Lock()
	h.calls++
	if data {
		h.data++
	}
	hit, errno, released := h.from > 0 && h.calls >= h.from, h.errno, h.released
	if hit && released != nil {
		h.held++
	}
	h.mu.Unlock()
	if !hit {
		return 0
	}
	if released != nil {
		<-released
		return 0
	}
	return errno
}

// command is what the test asks for: "hang K", "fail K ERRNO", "heal". What hung before has ended when it
// returns.
func (h *hostFaults) command(line string) error {
	h.mu.Lock()
	if h.released != nil {
		close(h.released)
	}
	h.calls, h.data, h.held, h.from, h.errno, h.released = 0, 0, 0, 0, 0, nil
	h.mu.Unlock()
	h.inside.Lock()
	defer h.inside.Unlock()
	h.mu.Lock()
	defer h.mu.Unlock()
	word, rest, _ := strings.Cut(line, " ")
	var errno int
	switch word {
	case "heal":
		return nil
	case "hang":
		h.released = make(chan struct{})
		_, err := fmt.Sscan(rest, &h.from)
		return err
	case "fail":
		_, err := fmt.Sscan(rest, &h.from, &errno)
		h.errno = syscall.Errno(errno)
		return err
	}
	return fmt.Errorf("unknown command %q", line)
}

// question answers what does not change anything: "count" is how many calls have read, written or synced since
// the last command, "held" how many of them hang.
func (h *hostFaults) question(line string) (answer int, known bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch line {
	case "count":
		return h.data, true
	case "held":
		return h.held, true
	}
	return 0, false
}

// hostStore is what is behind the image.
type hostStore interface {
	io.ReaderAt
	io.WriterAt
	Sync() error
	Truncate(size int64) error
	Attr(out *fuse.Attr) error
}

type hostFile struct {
	fs.Inode
	store  hostStore
	faults *hostFaults
}

func (n *hostFile) Getattr(ctx context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	return fs.ToErrno(n.store.Attr(&out.Attr))
}

// Setattr changes the length, and ignores the rest.
func (n *hostFile) Setattr(ctx context.Context, _ fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	if size, ok := in.GetSize(); ok {
		if errno := n.faults.call(true, func() error { return n.store.Truncate(int64(size)) }); errno != 0 {
			return errno
		}
	}
	return n.Getattr(ctx, nil, out)
}

func nothing() error { return nil }

func (n *hostFile) Open(ctx context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	return nil, fuse.FOPEN_DIRECT_IO, n.faults.call(false, nothing)
}

func (n *hostFile) Read(ctx context.Context, _ fs.FileHandle, p []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	k := 0
	errno := n.faults.call(true, func() (err error) {
		n.faults.pace.read()
		if k, err = n.store.ReadAt(p, off); err == io.EOF {
			err = nil
		}
		return err
	})
	return fuse.ReadResultData(p[:k]), errno
}

func (n *hostFile) Write(ctx context.Context, _ fs.FileHandle, p []byte, off int64) (k uint32, errno syscall.Errno) {
	errno = n.faults.call(true, func() error {
		n.faults.pace.write(int64(len(p)))
		n, err := n.store.WriteAt(p, off)
		k = uint32(n)
		return err
	})
	return k, errno
}

func (n *hostFile) Fsync(ctx context.Context, _ fs.FileHandle, _ uint32) syscall.Errno {
	return n.faults.call(true, func() error {
		if err := n.faults.pace.sync(); err != nil {
			return err
		}
		return n.store.Sync()
	})
}

func (n *hostFile) Flush(ctx context.Context, _ fs.FileHandle) syscall.Errno {
	return n.faults.call(false, nothing)
}

// Statfs reports a host with much room: large writes are acknowledged before they reach it.
func (n *hostFile) Statfs(ctx context.Context, out *fuse.StatfsOut) syscall.Errno {
	out.Bsize, out.Frsize, out.Blocks, out.Bfree, out.Bavail = 4096, 4096, 1<<20, 1<<20, 1<<20
	return n.faults.call(false, nothing)
}

type hostRoot struct {
	fs.Inode
	file *hostFile
}

func (r *hostRoot) OnAdd(ctx context.Context) {
	r.AddChild(hostImage, r.NewPersistentInode(ctx, r.file, fs.StableAttr{Mode: fuse.S_IFREG}), true)
}

// backingStore is a file that outlives every host: nothing in it waits for a sync.
type backingStore struct{ *os.File }

func (backingStore) Sync() error { return nil }

func (b backingStore) Attr(out *fuse.Attr) error {
	var st syscall.Stat_t
	if err := syscall.Fstat(int(b.Fd()), &st); err != nil {
		return err
	}
	out.FromStat(&st)
	return nil
}

// mountHost mounts a host with the image at dir.
func mountHost(dir string, store hostStore, faults *hostFaults) (*fuse.Server, error) {
	return fs.Mount(dir, &hostRoot{file: &hostFile{store: store, faults: faults}}, &fs.Options{
		MountOptions: fuse.MountOptions{DirectMountStrict: os.Geteuid() == 0, Name: "fatvoltesthost", FsName: "host"},
	})
}

// serveHost is the process that serves such a host.
func serveHost() int {
	paths := filepath.SplitList(os.Getenv(hostVariable))
	f, err := os.OpenFile(paths[0], os.O_RDWR, 0)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	faults := &hostFaults{}
	server, err := mountHost(paths[1], backingStore{f}, faults)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	answerCommands(func(line string) (string, error) {
		if answer, known := faults.pace.command(line); known {
			return answer, nil
		}
		if answer, known := faults.question(line); known {
			return strconv.Itoa(answer), nil
		}
		return "ok", faults.command(line)
	})
	_ = faults.command("heal")
	if server.Unmount() != nil {
		_ = syscall.Unmount(paths[1], 2) // MNT_DETACH
	}
	return 0
}

// answerCommands says that the host is there, and answers each line of standard input with one.
func answerCommands(answer func(line string) (string, error)) {
	fmt.Println("ok")
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		text, err := answer(in.Text())
		if err != nil {
			text = err.Error()
		}
		fmt.Println(text)
	}
}

// deviceStore is an image that is a device.
type deviceStore struct{ device.Device }

func (deviceStore) Truncate(int64) error { return syscall.EPERM }

func (d deviceStore) Attr(out *fuse.Attr) error {
	out.Mode, out.Nlink, out.Size = fuse.S_IFREG|0o600, 1, uint64(d.Size())
	out.Blocks = out.Size / 512
	return nil
}

// host is such a host, as a test sees it.
type host struct {
	t       testing.TB
	img     string
	backing string // the file behind img
	pid     int
	in      io.WriteCloser
	out     *bufio.Scanner
}

// newHost starts a host that has a formatted image.
func newHost(t testing.TB) *host { return newHostOf(t, 16<<20) }

// newHostOf is newHost with an image of so many bytes.
func newHostOf(t testing.TB, size int64) *host {
	t.Helper()
	return startHost(t, hostVariable, mkfsFAT(t, size))
}

// startHost starts this program again, to serve a host with the image that is in the file backing: the
// variable tells it which kind of host.
func startHost(t testing.TB, variable, backing string) *host {
	t.Helper()
	needRoot(t) // other users' mounts cannot be seen by the root that tests run as in CI, and the like
	needFUSE(t)
	dir := newDir(t)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), variable+"="+backing+string(filepath.ListSeparator)+dir)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	noteMount(dir, cmd.Process.Pid)
	h := &host{t, filepath.Join(dir, hostImage), backing, cmd.Process.Pid, in, bufio.NewScanner(out)}
	h.expectOK()
	t.Cleanup(func() {
		in.Close()
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		select {
		case <-ended:
		case <-time.After(patience):
			t.Error("the host does not end")
			cmd.Process.Kill()
		}
		freeMount(dir)
	})
	return h
}

func (h *host) expectOK() {
	h.t.Helper()
	if !h.out.Scan() || h.out.Text() != "ok" {
		h.t.Fatalf("host: %q, %v", h.out.Text(), h.out.Err())
	}
}

func (h *host) command(words ...string) {
	h.t.Helper()
	if err := h.try(words...); err != nil {
		h.t.Fatal(err)
	}
}

// try is command for goroutines that must not end the test.
func (h *host) try(words ...string) error {
	if _, err := fmt.Fprintln(h.in, strings.Join(words, " ")); err != nil {
		return err
	}
	if !h.out.Scan() || h.out.Text() != "ok" {
		return fmt.Errorf("host: %q, %v", h.out.Text(), h.out.Err())
	}
	return nil
}

// hang makes the k-th call from now on, and all after it, hang.
func (h *host) hang(k int) { h.t.Helper(); h.command("hang", strconv.Itoa(k)) }

// fail makes the k-th call from now on, and all after it, fail.
func (h *host) fail(k int, errno syscall.Errno) {
	h.t.Helper()
	h.command("fail", strconv.Itoa(k), strconv.Itoa(int(errno)))
}

// dataCalls is how many calls have read, written or synced since the last command.
func (h *host) dataCalls() int { h.t.Helper(); return h.ask("count") }

// held is how many calls hang.
func (h *host) held() int { h.t.Helper(); return h.ask("held") }

func (h *host) ask(question string) (n int) {
	h.t.Helper()
	fmt.Fprintln(h.in, question)
	if !h.out.Scan() {
		h.t.Fatalf("host: %v", h.out.Err())
	}
	if _, err := fmt.Sscan(h.out.Text(), &n); err != nil {
		h.t.Fatalf("host: %q", h.out.Text())
	}
	return n
}

// heal lets everything go on that hangs, and go well.
func (h *host) heal() { h.t.Helper(); h.command("heal") }
