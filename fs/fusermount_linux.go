package fs

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"golang.org/x/sys/unix"
)

const fusermount = "fusermount3"

// mountHelped has fusermount3, which is set-uid root, mount on dir. It sends the descriptor of the
// connection over the socket whose number it finds in _FUSE_COMMFD.
func mountHelped(dir string, opt *Options) (int, error) {
	bin, err := FusermountPath()
	if err != nil {
		return -1, err
	}
	fd, err := runFusermount(bin, dir, append(helpedData(opt), opt.UserOptions...))
	if err != nil && len(opt.UserOptions) > 0 && strings.Contains(err.Error(), "unknown option") {
		opt.Log.Debug("fusermount3 knows no options for other programs; this takes libfuse 3.17", "options", opt.UserOptions)
		fd, err = runFusermount(bin, dir, helpedData(opt))
	}
	return fd, err
}

// runFusermount is one attempt.
func runFusermount(bin, dir string, data []string) (int, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, os.NewSyscallError("socketpair", err)
	}
	ours := os.NewFile(uintptr(pair[0]), "fusermount3")
	theirs := os.NewFile(uintptr(pair[1]), "fusermount3")
	defer ours.Close()
	defer theirs.Close()

	var stderr bytes.Buffer
	cmd := exec.Command(bin, "-o", strings.Join(data, ","), "--", dir)
	cmd.Env = append(os.Environ(), "LC_ALL=C", "_FUSE_COMMFD=3")
	cmd.ExtraFiles = []*os.File{theirs}
	cmd.Stderr = &stderr
	err = cmd.Run()
	theirs.Close() // or the wait for a descriptor that was not sent would have no end
	if err != nil {
		return -1, helperError(dir, stderr.String(), err)
	}
	fd, err := receiveFD(int(ours.Fd()))
	if err != nil {
		return -1, fmt.Errorf("mount on %s: %s sent no descriptor: %w", dir, fusermount, err)
	}
	return fd, nil
}

// FusermountPath finds fusermount3, which is set-user-ID root. umount(8) calls its helpers with an empty
// environment, so that PATH is not all there is to go by.
func FusermountPath() (string, error) {
	bin, err := exec.LookPath(fusermount)
	if err != nil {
		if bin, err = exec.LookPath("/bin/" + fusermount); err != nil {
			return "", fmt.Errorf("%w: %s is not installed, and without it only root can mount (Debian: apt install fuse3)", ErrNoFUSE, fusermount)
		}
	}
	return bin, nil
}

// helpedData are the options for fusermount3, which takes commas and backslashes escaped.
func helpedData(opt *Options) []string {
	data := append(commonData(opt), mountFlagNames(opt)...)
	data = append(data, "fsname="+opt.FSName, "subtype="+opt.Subtype)
	escape := strings.NewReplacer(`\`, `\\`, `,`, `\,`)
	for i, d := range data {
		data[i] = escape.Replace(d)
	}
	return data
}

// helperError makes one line of what fusermount3 had to say.
func helperError(dir, said string, err error) error {
	said = strings.Join(strings.Fields(strings.TrimPrefix(said, fusermount+": ")), " ")
	switch {
	case said == "":
		return fmt.Errorf("mount on %s: %s: %w", dir, fusermount, err)
	case strings.Contains(said, "user_allow_other"):
		return fmt.Errorf("%w: allow_other needs the line user_allow_other in /etc/fuse.conf, which root can add", ErrNotPermitted)
	case strings.Contains(said, "fuse device not found"), strings.Contains(said, devFuse):
		return fmt.Errorf("%w: %s: %s", ErrNoFUSE, fusermount, said)
	}
	for _, refusal := range refusals {
		if strings.Contains(said, refusal) {
			return fmt.Errorf("%w: %s: %s", ErrNotPermitted, fusermount, said)
		}
	}
	return fmt.Errorf("mount on %s: %s: %s", dir, fusermount, said)
}

// refusals are parts of what fusermount3 says when the user may not do what he asked for.
var refusals = []string{
	"no write access to mountpoint", "not owned by user", "is forbidden", "is privileged", "too many FUSE filesystems",
	"Permission denied", "Operation not permitted",
}

// receiveFD takes one descriptor from a socket, closed on exec from the first moment.
func receiveFD(sock int) (int, error) {
	var data [1]byte
	control := make([]byte, unix.CmsgSpace(4))
	for {
		_, n, _, _, err := unix.Recvmsg(sock, data[:], control, unix.MSG_CMSG_CLOEXEC)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return -1, os.NewSyscallError("recvmsg", err)
		}
		control = control[:n]
		break
	}
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return -1, err
	}
	if len(messages) != 1 {
		return -1, fmt.Errorf("%d control messages, expected 1", len(messages))
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil {
		return -1, err
	}
	if len(fds) != 1 {
		for _, fd := range fds {
			unix.Close(fd)
		}
		return -1, fmt.Errorf("%d descriptors, expected 1", len(fds))
	}
	return fds[0], nil
}
