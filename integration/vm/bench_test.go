//go:build linux

package vm

import (
	"flag"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"fatvol/integration/vm/guestapi"
)

var (
	benchTable   = flag.String("table", "", "`file` for the table of BenchmarkGuest")
	benchSystems = flag.String("systems", "fatvol,vfat", "who takes part in BenchmarkGuest")
	benchRuns    = flag.Int("runs", 1, "runs of each row of BenchmarkGuest")
	benchRows    = flag.String("rows", `^(create-[28]000|stat-|statfs$|mount$|untar$|ls-lR$|seq-)`, "rows of BenchmarkGuest, a regular `expression`")
)

// benchTime is how long all of it may take: the machine is an emulation.
const benchTime = 30 * time.Minute

// BenchmarkGuest runs integration/bench in a machine, where the kernel's own vfat takes part. What counts are the
// ratios, all of which are of one run.
func BenchmarkGuest(b *testing.B) {
	m := bootWith(b, func(c *initramfs) {
		c.copyFile(goBinary(b, "fatvol/integration/bench"), "bin/bench")
		c.copyFile(goBinary(b, "fatvol/integration/bench/loopback"), "bin/loopback")
		for _, program := range []string{"tar", "ls", "cp"} {
			c.copyProgram(program)
		}
	})
	v := &VM{machine: m, t: b}
	defer m.end()
	v.Shell("mkdir -p /dev/shm; mount -t tmpfs -o size=90% bench /dev/shm")
	for b.Loop() {
		exit := v.Exit(guestapi.Command{Args: []string{"bench", "-systems", *benchSystems, "-quick", "-runs", strconv.Itoa(*benchRuns), "-run", *benchRows,
			"-fatvol", "/bin/fatvol", "-loopback", "/bin/loopback", "-disk", "/dev/shm", "-table", "/tmp/table.md"}, Timeout: benchTime})
		if exit.Code != 0 || exit.TimedOut {
			b.Fatalf("exit code %d\n%s%s", exit.Code, exit.Stdout, exit.Stderr)
		}
		b.Logf("%s", exit.Stdout)
	}
	if *benchTable == "" {
		return
	}
	// The guest does not know which tree this is of, nor by which command.
	commit, _ := exec.Command("git", "describe", "--always", "--dirty").Output()
	_, rest, _ := strings.Cut(string(v.Fetch("/tmp/table.md")), "`, ")
	text := "Commit " + strings.TrimSpace(string(commit)) + ", `make bench-vm`, " + rest
	if err := os.WriteFile(*benchTable, []byte(text), 0o666); err != nil {
		b.Fatal(err)
	}
}
