package integration

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"fatvol/image/device"
	"fatvol/image/device/faultdev"
)

// A FUSE host on a medium that is pulled: what was written since the last sync is then on it or not,
// sector by sector, as chance will have it. Its image is in memory; the process that serves it reads it
// from a file at its start.

const losingVariable = "FATVOL_TEST_LOSING_HOST" // as hostVariable

// losing is such a host in the process that serves it.
type losing struct {
	dir    string
	medium *faultdev.Crash
	faults *hostFaults // of the mount that is there; what a dead one has stays with it
}

func (l *losing) plug() error {
	l.faults = &hostFaults{}
	_, err := mountHost(l.dir, deviceStore{l.medium}, l.faults)
	return err
}

// pull has all calls fail, those on what stays mounted included, and the medium lose what it may.
func (l *losing) pull(seed uint64) error {
	if err := l.faults.command(fmt.Sprintf("fail 1 %d", syscall.ENODEV)); err != nil {
		return err
	}
	left, err := l.medium.Scattered(rand.New(rand.NewPCG(seed, 0)))
	if err == nil {
		l.medium = faultdev.NewCrash(left)
	}
	return err
}

// unmount takes the host away from its place, lazily: who has the image open keeps it.
func (l *losing) unmount() error { return syscall.Unmount(l.dir, 2) } // MNT_DETACH

func (l *losing) command(line string) error {
	word, rest, _ := strings.Cut(line, " ")
	switch word {
	case "pull":
		seed, err := strconv.ParseUint(rest, 10, 64)
		if err != nil {
			return err
		}
		return l.pull(seed)
	case "unmount":
		return l.unmount()
	case "plug":
		return l.plug()
	case "save": // what has been synced
		return l.medium.Cut().WriteFile(rest)
	}
	return fmt.Errorf("unknown command %q", line)
}

// serveLosing is the process that serves such a host.
func serveLosing() int {
	paths := filepath.SplitList(os.Getenv(losingVariable))
	mem, err := device.ReadMem(paths[0])
	if err != nil {
		fmt.Println(err)
		return 1
	}
	l := &losing{dir: paths[1], medium: faultdev.NewCrash(mem)}
	if err := l.plug(); err != nil {
		fmt.Println(err)
		return 1
	}
	answerCommands(func(line string) (string, error) { return "ok", l.command(line) })
	_ = l.unmount()
	return 0
}
