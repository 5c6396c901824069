//go:build linux

package vm

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"fatvol/integration/vm/guestapi"
)

// VM is a virtual machine in the hands of one test. Its methods fail that test where the machine
// does not do as it should; what a program in the guest says is the test's business.
type VM struct {
	*machine
	t testing.TB
}

// guestPrograms are the programs of this machine that the guest has too.
var guestPrograms = []string{"busybox", "mkfs.fat", "fsck.fat", "mtools", "fatlabel", "mkfs.ext4", "e2fsck", "debugfs", "strace"}

// mtoolsNames are the names under which mtools is several programs.
var mtoolsNames = []string{"mcopy", "mdir", "mdel", "mmd", "mren", "mattrib", "minfo", "mtype"}

// Start boots a machine for the test alone.
func Start(t testing.TB) *VM {
	t.Helper()
	m := bootFor(t)
	v := &VM{machine: m, t: t}
	t.Cleanup(func() {
		v.tell()
		m.end()
	})
	return v
}

// skip skips a test whose machine cannot be booted here. In CI it must be.
func skip(t testing.TB, why any) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatalf("not skipped in CI: %v", why)
	}
	t.Skip(why)
}

// bootFor boots a machine, or skips the test where there cannot be one.
func bootFor(t testing.TB) *machine {
	t.Helper()
	return bootWith(t, func(*initramfs) {})
}

// bootWith is bootFor with more in the guest's root; it comes first, and so in the place of what is always there.
func bootWith(t testing.TB, more func(*initramfs)) *machine {
	t.Helper()
	if runtime.GOARCH != "amd64" {
		skip(t, "needs an x86_64 machine: the guest runs this machine's programs")
	}
	if _, err := exec.LookPath("qemu-system-x86_64"); err != nil {
		skip(t, "needs qemu-system-x86_64, which integration/vm/prepare.sh installs")
	}
	// The path of a Unix socket is limited to some hundred bytes, so it cannot be in t.TempDir.
	dir, err := os.MkdirTemp(scratch, "machine")
	if err != nil {
		t.Fatal(err)
	}
	initrd := filepath.Join(dir, "initramfs")
	kernel, err := kernelImage()
	if err == nil {
		err = buildInitramfs(t, initrd, more)
	}
	if errors.Is(err, errNotPrepared) {
		skip(t, err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer os.Remove(initrd)
	for try := 1; ; try++ {
		m, err := boot(kernel, initrd, dir)
		if err == nil {
			return m
		}
		if try == bootTries {
			t.Fatal(err)
		}
		t.Logf("try %d: %v", try, err)
		for _, leftover := range []string{"monitor", "guest", "console"} {
			os.Remove(filepath.Join(dir, leftover))
		}
	}
}

// buildInitramfs writes the guest's root.
func buildInitramfs(t testing.TB, path string, more func(*initramfs)) error {
	modules, err := kernelModules(wantedModules)
	if err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	c := newInitramfs(f)
	more(c)
	for _, dir := range []string{"proc", "sys", "dev", "tmp", "run", "root", "etc", "mnt", "media", "var/lib"} {
		c.directory(dir)
	}
	c.device("dev/console", 5, 1)
	c.symlink("etc/mtab", "/proc/mounts")
	c.file("etc/passwd", []byte("root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/tmp:/bin/sh\n"))
	c.file("etc/group", []byte("root:x:0:\nuser:x:1000:\n"))
	c.copyFile(goBinary(t, "fatvol/integration/vm/guest"), "init")
	c.copyFile(goBinary(t, "fatvol/cmd/fatvol"), "bin/fatvol")
	c.copyFile(goBinary(t, "fatvol/integration/vm/nfsserver"), "bin/nfsserver")
	for _, name := range guestPrograms {
		c.copyProgram(name)
	}
	for _, name := range mtoolsNames {
		c.symlink("bin/"+name, "mtools")
	}
	applets, err := exec.Command("busybox", "--list").Output()
	if err != nil {
		return fmt.Errorf("busybox --list: %w", err)
	}
	for applet := range strings.FieldsSeq(string(applets)) {
		c.symlink("bin/"+applet, "busybox") // programs that are there already stay
	}
	var load strings.Builder
	for _, module := range modules {
		to := "lib/modules/" + filepath.Base(module)
		c.copyFile(module, to)
		fmt.Fprintf(&load, "/%s\n", to)
	}
	c.file("lib/modules/load", []byte(load.String()))
	return c.close()
}

// tell prints what the machine has to say when the test has failed.
func (v *VM) tell() {
	if v.t.Failed() {
		v.t.Logf("console of the guest:\n%s", v.console())
	}
}

// in is the machine in the hands of a subtest.
func (v *VM) in(t testing.TB) *VM {
	sub := &VM{machine: v.machine, t: t}
	t.Cleanup(sub.cleanUp)
	return sub
}

// must fails the test on an error of a call.
func (v *VM) must(err error) {
	v.t.Helper()
	if err != nil {
		v.t.Fatal(err)
	}
}

// Run runs a program in the guest, which must succeed, and returns what it prints.
func (v *VM) Run(args ...string) string {
	v.t.Helper()
	exit := v.Exit(guestapi.Command{Args: args})
	if exit.Code != 0 || exit.TimedOut {
		v.t.Fatalf("in the guest: %s: exit code %d\n%s%s", strings.Join(args, " "), exit.Code, exit.Stdout, exit.Stderr)
	}
	return string(exit.Stdout)
}

// Shell runs a script of busybox's shell in the guest, which must succeed.
func (v *VM) Shell(script string) string {
	v.t.Helper()
	return v.Run("sh", "-euc", script)
}

// Exit runs a program in the guest and returns how it ended.
func (v *VM) Exit(c guestapi.Command) (exit guestapi.Exit) {
	v.t.Helper()
	v.must(v.callWithin(c.Timeout+callSlack, "Run", c, &exit))
	if exit.Stuck {
		v.t.Errorf("in the guest: %s cannot be killed:\n%s", strings.Join(c.Args, " "), exit.Stderr)
	}
	return exit
}

// Start runs a program in the background of the guest.
func (v *VM) Start(c guestapi.Command) (pid int) {
	v.t.Helper()
	v.must(v.call("Start", c, &pid))
	return pid
}

// Wait waits for the end of a program in the background.
func (v *VM) Wait(pid int, timeout time.Duration) (state guestapi.ProcessState) {
	v.t.Helper()
	v.must(v.callWithin(timeout+callSlack, "Wait", guestapi.WaitArgs{PID: pid, Timeout: timeout}, &state))
	return state
}

// Output is what a program in the background has printed so far.
func (v *VM) Output(pid int) []guestapi.Line {
	v.t.Helper()
	return v.Wait(pid, 0).Output
}

// Push writes a file in the guest.
func (v *VM) Push(path string, data []byte, mode os.FileMode) {
	v.t.Helper()
	for at := 0; ; at += guestapi.ChunkSize {
		end := min(at+guestapi.ChunkSize, len(data))
		last := end == len(data)
		v.must(v.call("WriteFile", guestapi.FileChunk{Path: path, Offset: int64(at), Data: data[at:end], Mode: uint32(mode.Perm()), Cut: last}, &guestapi.None{}))
		if last {
			return
		}
	}
}

// Fetch reads a file of the guest.
func (v *VM) Fetch(path string) (data []byte) {
	v.t.Helper()
	for {
		var chunk guestapi.FileChunk
		v.must(v.call("ReadFile", guestapi.FileChunk{Path: path, Offset: int64(len(data))}, &chunk))
		data = append(data, chunk.Data...)
		if chunk.Cut {
			return data
		}
	}
}

// WriteTree writes a tree of files in the guest.
func (v *VM) WriteTree(root string, files []guestapi.TreeFile) {
	v.t.Helper()
	v.must(v.call("WriteTree", guestapi.WriteTreeArgs{Root: root, Files: files}, &guestapi.None{}))
}

// ReadTree reads a tree of files in the guest.
func (v *VM) ReadTree(root string) (entries []guestapi.TreeEntry) {
	v.t.Helper()
	v.must(v.call("ReadTree", guestapi.ReadTreeArgs{Root: root}, &entries))
	return entries
}

// KernelMark is a position in the kernel's log: what comes later is new.
func (v *VM) KernelMark() (mark uint64) {
	v.t.Helper()
	v.must(v.call("KernelMark", guestapi.None{}, &mark))
	return mark
}

// KernelLog is what the kernel has logged since the mark.
func (v *VM) KernelLog(mark uint64) (lines []guestapi.KernelLine) {
	v.t.Helper()
	v.must(v.call("KernelLog", mark, &lines))
	return lines
}

// kernelLine is the first line since the mark that contains the text, which must be there.
func (v *VM) kernelLine(mark uint64, text string) guestapi.KernelLine {
	v.t.Helper()
	lines := v.KernelLog(mark)
	for _, line := range lines {
		if strings.Contains(line.Text, text) {
			return line
		}
	}
	v.t.Fatalf("the kernel did not log %q but %d other lines: %v", text, len(lines), lines)
	return guestapi.KernelLine{}
}

// ms is a number of nanoseconds in milliseconds.
func ms(nanoseconds int64) float64 { return float64(nanoseconds) / 1e6 }
