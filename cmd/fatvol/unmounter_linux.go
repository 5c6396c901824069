package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"sync"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"fatvol/fs"
)

// A process that has given up its rights cannot unmount: Landlock forbids it to change what is mounted
// where, and without new privileges fusermount3 is no root. So a child keeps the right to unmount this
// one mount, and nothing else is asked of it. It ends with the process that serves the mount.

// unmountOrder is what the child is told, unmountAnswer what it says.
type unmountOrder struct {
	Dir  string `json:"dir"`
	Lazy bool   `json:"lazy"`
}

type unmountAnswer struct {
	Error string `json:"error"`
	Busy  bool   `json:"busy"`
	By    string `json:"by"`   // who uses it, where it is busy
	None  bool   `json:"none"` // there is no such mount
}

// unmounter is the child as the serving process has it.
type unmounter struct {
	mu  sync.Mutex // one order at a time
	in  *json.Encoder
	out *json.Decoder
}

// unmounterCommand is the child.
func unmounterCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "unmounter DEVICE",
		Short:  "Unmount a mount when told to",
		Hidden: true,
		Args:   exactly("DEVICE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
			return serveUnmounts(args[0], cmd.InOrStdin(), cmd.OutOrStdout())
		},
	}
}

// serveUnmounts unmounts the mount with the device number for as long as it is told to.
func serveUnmounts(device string, in io.Reader, out io.Writer) error {
	orders, answers := json.NewDecoder(in), json.NewEncoder(out)
	for {
		var o unmountOrder
		if err := orders.Decode(&o); err != nil {
			return nil // the other side is gone
		}
		err := unmountOf(device, o)
		a := unmountAnswer{Busy: errors.Is(err, unix.EBUSY), None: errors.Is(err, fs.ErrNotMounted)}
		if err != nil {
			a.Error = err.Error()
		}
		if a.Busy {
			// Landlock keeps its parent from looking into other processes.
			if m, err := mountAt(o.Dir); err == nil && m != nil {
				a.By = busyReason(m)
			}
		}
		if err := answers.Encode(a); err != nil {
			return nil
		}
	}
}

// unmountOf unmounts what is on a directory, if that is the mount with the device number.
func unmountOf(device string, o unmountOrder) error {
	m, err := mountAt(o.Dir)
	if err != nil {
		return err
	}
	if m == nil || deviceNumber(m) != device {
		return fmt.Errorf("%s: %w", o.Dir, fs.ErrNotMounted)
	}
	return fs.UnmountPath(o.Dir, o.Lazy)
}

// startUnmounter starts the child for the mount with the device number.
func startUnmounter(device string) (*unmounter, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	closeInheritedOnExec()
	cmd := exec.Command(self, "unmounter", device)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	in, err := cmd.StdinPipe() // its end is ours, and tells the child that we are no more
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go func() { _, _ = cmd.Process.Wait() }() // whenever it ends
	return &unmounter{in: json.NewEncoder(in), out: json.NewDecoder(out)}, nil
}

func (u *unmounter) unmount(dir string, lazy bool) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	var a unmountAnswer
	err := u.in.Encode(unmountOrder{dir, lazy})
	if err == nil {
		err = u.out.Decode(&a)
	}
	switch {
	case err != nil:
		return fmt.Errorf("unmount %s: the process that could unmount is gone: %w: 'fatvol umount %s' unmounts it", dir, err, dir)
	case a.Busy:
		return &busyError{dir, a.By}
	case a.None:
		return fs.ErrNotMounted
	case a.Error != "":
		return errors.New(a.Error)
	}
	return nil
}
