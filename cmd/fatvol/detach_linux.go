package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"

	"golang.org/x/sys/unix"

	"fatvol/fs"
)

// unmount takes the mount at dir away; lazily, it only leaves the name space now and ends when its
// last user does. It fails with EBUSY, wrapped, while somebody uses the mount.
func unmount(dir string, lazy bool) error {
	flags := unix.UMOUNT_NOFOLLOW
	if lazy {
		flags |= unix.MNT_DETACH
	}
	err := unix.Unmount(dir, flags)
	// Only fusermount3, which is set-user-ID root, can unmount what a user has mounted.
	if errors.Is(err, unix.EPERM) && os.Geteuid() != 0 {
		return fusermountUnmount(dir, lazy)
	}
	if err != nil {
		return fmt.Errorf("umount: %w", err)
	}
	return nil
}

func fusermountUnmount(dir string, lazy bool) error {
	program, err := fs.FusermountPath()
	if err != nil {
		return err
	}
	args := []string{"-u"}
	if lazy {
		args = append(args, "-z")
	}
	cmd := exec.Command(program, append(args, "--", dir)...)
	// Its message for EBUSY is recognised below.
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	out, err := cmd.CombinedOutput()
	if err == nil {
		return nil
	}
	out = bytes.TrimSpace(out)
	if bytes.HasSuffix(out, []byte("Device or resource busy")) {
		return fmt.Errorf("fusermount3: %w", unix.EBUSY)
	}
	if len(out) == 0 {
		return fmt.Errorf("fusermount3: %w", err)
	}
	return fmt.Errorf("%s", out)
}
