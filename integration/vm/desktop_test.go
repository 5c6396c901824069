//go:build linux

package vm

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"fatvol/integration/vm/guestapi"
)

// desktopPatience bounds each wait of the desktop's scene; emulation is slow.
const desktopPatience = 120 * time.Second

// desktopScript is what the scene shows, for people.
const desktopScript = "../../docs/automount-session.txt"

var update = flag.Bool("update", false, "write "+desktopScript+" anew")

// desktop is a user's session in the guest.
type desktop struct {
	*VM
	listener int // process that shows notifications
	helper   int // process of fatvol automount
	seen     int // lines of the listener that have been looked at
	script   strings.Builder
}

// sessionEnv is the environment of the user's session.
const sessionEnv = "HOME=/home/anna USER=anna LOGNAME=anna XDG_RUNTIME_DIR=/run/user/1000 " +
	"DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/1000/bus TZ=UTC PATH=/bin:/usr/bin:/sbin:/usr/sbin"

// asAnna is a command of the shell, run in the user's session.
func asAnna(command string) []string {
	return []string{"su", "anna", "-s", "/bin/sh", "-c", "export " + sessionEnv + "; " + command}
}

// startDesktop starts the services and the session.
func startDesktop(v *VM) *desktop {
	v.t.Helper()
	d := &desktop{VM: v}
	v.Shell(`
		mkdir -p /run/dbus /run/udev /run/user/1000 /home/anna
		chown anna:anna /run/user/1000 /home/anna; chmod 700 /run/user/1000
		mount -t tmpfs tmpfs /media; mount -t tmpfs tmpfs /var/lib
		mkdir -p /var/lib/udisks2 /var/lib/polkit-1
		chmod 1777 /tmp; chown polkitd /etc/polkit-1/rules.d`)
	v.daemon("/lib/systemd/systemd-udevd")
	v.Shell("udevadm trigger --action=add --type=subsystems; udevadm trigger --action=add --type=devices; udevadm settle")
	v.daemon("dbus-daemon", "--system", "--nofork", "--nopidfile")
	v.until("test -S /run/dbus/system_bus_socket", "")
	v.untilSaid(v.daemon("/usr/lib/polkit-1/polkitd"), "Acquired the name")
	v.daemon("/usr/libexec/udisks2/udisksd")
	v.until("udisksctl status", "MODEL")
	v.daemon(asAnna("exec dbus-daemon --session --nofork --nopidfile --address=unix:path=/run/user/1000/bus")...)
	v.until("test -S /run/user/1000/bus", "")
	d.listener = v.daemon(asAnna("exec listener")...)
	d.line() // it is there
	d.helper = v.daemon(asAnna("exec fatvol automount")...)
	return d
}

// daemon starts a program that stays, and prints what it said if the test fails.
func (v *VM) daemon(args ...string) int {
	v.t.Helper()
	pid := v.Start(guestapi.Command{Args: args})
	v.t.Cleanup(func() {
		if v.t.Failed() && v.wreck.Load() == nil {
			v.t.Logf("%s:\n%s", strings.Join(args, " "), text(v.Output(pid)))
		}
	})
	return pid
}

// until runs a script until it succeeds and prints what the pattern matches, and returns that.
func (v *VM) until(script, pattern string) string {
	v.t.Helper()
	var exit guestapi.Exit
	v.must(v.callWithin(desktopPatience+callSlack, "Until", guestapi.UntilArgs{Command: guestapi.Command{Args: []string{"sh", "-c", script}},
		Pattern: pattern, Every: 100 * time.Millisecond, Timeout: desktopPatience}, &exit))
	if exit.TimedOut {
		v.t.Fatalf("in the guest: %s: never %q:\n%s%s", script, pattern, exit.Stdout, exit.Stderr)
	}
	return string(exit.Stdout)
}

// untilSaid waits until a program in the background has printed the text.
func (v *VM) untilSaid(pid int, what string) {
	v.t.Helper()
	for end := time.Now().Add(desktopPatience); ; time.Sleep(100 * time.Millisecond) {
		said := text(v.Output(pid))
		if strings.Contains(said, what) {
			return
		}
		if time.Now().After(end) {
			v.t.Fatalf("process %d never says %q:\n%s", pid, what, said)
		}
	}
}

// line is the next line of the listener.
func (d *desktop) line() string {
	d.t.Helper()
	for end := time.Now().Add(desktopPatience); ; time.Sleep(100 * time.Millisecond) {
		if lines := d.Output(d.listener); len(lines) > d.seen {
			d.seen++
			return lines[d.seen-1].Text
		}
		if time.Now().After(end) {
			d.t.Fatalf("no further notification; so far:\n%s", d.script.String())
		}
	}
}

// sees waits for the next notification, which must begin as given, and writes it into the script.
func (d *desktop) sees(summary string) {
	d.t.Helper()
	var n struct {
		Summary, Body string
		Buttons       []string
		Urgent        bool
	}
	d.must(json.Unmarshal([]byte(d.line()), &n))
	buttons := ""
	for _, b := range n.Buttons {
		buttons += " [" + b + "]"
	}
	mark := " "
	if n.Urgent {
		mark = "!"
	}
	fmt.Fprintf(&d.script, "    ┌─%s %s\n    └─  %s%s\n", mark, n.Summary, plainText(n.Body), buttons)
	if n.Summary != summary {
		d.t.Fatalf("the notification is %q, want %q; so far:\n%s", n.Summary, summary, d.script.String())
	}
}

// variable are what differs from one run to the next, and how it stands in the script.
var variable = []struct {
	pattern *regexp.Regexp
	text    string
}{
	{regexp.MustCompile(`PID \d+`), "PID 4711"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d`), "2026-11-25 16:20:00"},
	{regexp.MustCompile(`(\d+ bytes|\d+\.\d KiB) in 1 file *`), "328 bytes in 1 file  "},
	{regexp.MustCompile(`UNSYNCED {5,}`), "UNSYNCED             "},
	// What was under way at the pull depends on the moment.
	{regexp.MustCompile(`(Changes of names and times are|Some changes are|\d+ files are) (still )?not saved`), "1 file is ${2}not saved"},
	{regexp.MustCompile(`What was not saved has been\.`), "1 file has been saved."},
}

// goneReason is how a status tells why the medium is gone: which of its detectors was first depends on the moment.
var goneReason = regexp.MustCompile(`^(/\S*/PHOTOS: ).*$`)

func plainText(s string) string {
	for _, v := range variable {
		s = v.pattern.ReplaceAllString(s, v.text)
	}
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		if !strings.Contains(line, "everything fails") {
			lines[i] = goneReason.ReplaceAllString(line, "${1}/dev/sda was removed")
		}
	}
	return strings.Join(lines, "\n")
}

// tells writes what happens into the script.
func (d *desktop) tells(what string) { fmt.Fprintf(&d.script, "\n%s\n", what) }

// types runs a command in the session and writes it, and what it prints, into the script.
func (d *desktop) types(command string) string {
	d.t.Helper()
	exit := d.Exit(guestapi.Command{Args: asAnna(command + " 2>&1"), Timeout: desktopPatience})
	out := string(exit.Stdout)
	fmt.Fprintf(&d.script, "    $ %s\n", command)
	for line := range strings.Lines(plainText(out)) {
		d.script.WriteString(strings.TrimRight("    "+line, " \n") + "\n")
	}
	return out
}

// mounts has the desktop mount a stick that was plugged in.
func (d *desktop) mounts(s *Stick) guestapi.Disk {
	d.t.Helper()
	disk := d.Plug(s)
	device := "/dev/" + disk.Partitions[0]
	d.until("udisksctl info -b "+device, "IdUsage: *filesystem")
	if out := d.types("udisksctl mount -b " + device); !strings.Contains(out, "Mounted") {
		d.t.Fatalf("%s\n%s", out, d.Shell("udisksctl dump"))
	}
	return disk
}

// unlisted waits until nothing is mounted where the stick was: udisks takes away what is dead.
func (d *desktop) unlisted() {
	d.t.Helper()
	d.until("grep -c ' /media/anna/STICK ' /proc/mounts || true", "^0")
}

// volume is where the volume of the scene is.
const photos = "/run/user/1000/fatvol/media/PHOTOS"

// writerScript goes on writing to a file that it holds open, and notes what was acknowledged.
const writerScript = `exec 3>>` + photos + `/diary.txt; i=0
while ! test -e /tmp/enough; do i=$((i+1)); if echo "line $i" >&3; then echo "line $i" >>/tmp/written; else echo $i >>/tmp/refused; fi; usleep 30000 3>&-; done`

// TestDesktop is a user's afternoon with udisks2, polkit, udev, two D-Bus daemons and an ordinary user's
// session: a stick is plugged in, pulled while a program writes, brought back, exchanged, and ejected in three
// ways. What the user sees is compared with docs/automount-session.txt.
func TestDesktop(t *testing.T) {
	d := startDesktop(bootDesktop(t))
	stick := newLabelled(t, "STICK", newImage(t, 8<<20, "-n", "PHOTOS", "-i", "12345678"))

	d.tells("Anna plugs in a stick; the desktop mounts it.")
	disk := d.mounts(stick)
	d.sees("PHOTOS is ready")
	d.types("ls /run/user/1000/fatvol/media")
	d.types("fatvol status")

	d.tells("A program writes a diary. Anna pulls the stick.")
	d.Push("/tmp/writer", []byte(writerScript), 0o755)
	writer := d.daemon(asAnna("exec sh /tmp/writer")...)
	d.until("wc -l </tmp/written", `^[1-9]\d`)
	d.Pull(stick)
	d.sees("PHOTOS was removed")
	d.types("cat " + photos + "/diary.txt")
	d.unlisted()
	d.types("ls -A /media/anna")
	d.types("fatvol status")

	d.tells("She puts it back. The program has kept its file open, and goes on.")
	d.until("wc -l </tmp/refused", `^[1-9]`)
	refused := d.Shell("wc -l </tmp/written")
	disk = d.mounts(stick)
	d.sees("PHOTOS is back and saved")
	d.until("test $(wc -l </tmp/written) -gt $(("+strings.TrimSpace(refused)+" + 10)) && echo more", "more")

	d.tells("She pulls it once more, and puts in another one by mistake.")
	d.Pull(stick)
	d.sees("PHOTOS was removed")
	d.unlisted()
	other := newLabelled(t, "STICK", newImage(t, 8<<20, "-n", "MUSIC", "-i", "0badcafe"))
	d.mounts(other)
	d.sees("This is not the medium with PHOTOS")
	d.sees("MUSIC is ready")
	d.Pull(other)
	d.sees("MUSIC was removed")
	d.unlisted()
	d.tells("And the right one.")
	disk = d.mounts(stick)
	d.sees("PHOTOS is back and saved")

	d.tells("She ejects it in the file manager, while the program still writes.")
	device := "/dev/" + disk.Partitions[0]
	d.types("udisksctl unmount -b " + device)
	d.sees("STICK cannot be removed yet")
	d.tells("The program ends. She ejects again: the first attempt finds the stick busy, because of the image on it.")
	d.Shell("touch /tmp/enough")
	if state := d.Wait(writer, desktopPatience); !state.Ended {
		t.Fatal("the writer does not end")
	}
	d.types("udisksctl unmount -b " + device)
	d.sees("STICK can be removed")
	d.types("fatvol status")
	d.types("ls -A /media/anna /run/user/1000/fatvol/media")
	d.Pull(stick)
	d.verifyDiary(stick)

	d.tells("Another time, she presses Eject in the notification.")
	d.mounts(stick)
	d.sees("PHOTOS is ready")
	d.must(d.call("Signal", guestapi.SignalArgs{PID: d.listener, Signal: 10}, &guestapi.None{}))
	d.sees("STICK can be removed")
	d.types("udisksctl status")
	d.Pull(stick)

	d.tells("She logs out while a stick is mounted.")
	disk = d.mounts(stick)
	d.sees("PHOTOS is ready")
	d.must(d.call("Signal", guestapi.SignalArgs{PID: d.helper, Signal: 15}, &guestapi.None{}))
	if state := d.Wait(d.helper, desktopPatience); !state.Ended || state.Exit.Code != 0 {
		t.Errorf("the helper ends with %+v", state.Exit)
	}
	d.types("fatvol status")
	d.types("ls -A /run/user/1000/fatvol/media")
	d.types("udisksctl unmount -b /dev/" + disk.Partitions[0])
	d.Pull(stick)

	d.compareScript()
}

// newLabelled is a stick with vfat and an image on it.
func newLabelled(t *testing.T, label, image string) *Stick {
	t.Helper()
	s := NewStick(t, "vfat", image, 512)
	host(t, "mlabel", "-i", s.partition(), "::"+label)
	return s
}

// verifyDiary looks, with tools of this side, whether the image is whole and every line that was acknowledged is in it.
func (d *desktop) verifyDiary(s *Stick) {
	d.t.Helper()
	image := s.Image(d.t)
	host(d.t, "fsck.fat", "-n", image)
	diary := host(d.t, "mtype", "-i", image, "::diary.txt")
	there := map[string]bool{}
	for line := range strings.Lines(diary) {
		there[line] = true
	}
	written := string(d.Fetch("/tmp/written"))
	for line := range strings.Lines(written) {
		if !there[line] {
			d.t.Errorf("%q was acknowledged, and is not in the diary", line)
		}
	}
	d.t.Logf("%d lines acknowledged, %d refused", strings.Count(written, "\n"), strings.Count(string(d.Fetch("/tmp/refused")), "\n"))
}

// compareScript compares what was seen with the documentation.
func (d *desktop) compareScript() {
	d.t.Helper()
	head := "What a user of fatvol automount sees. TestDesktop of integration/vm writes it, in a virtual machine with\n" +
		"udisks2, polkit, udev and D-Bus, and an emulated stick. Boxes are desktop notifications; ! means urgent.\n"
	got := head + d.script.String()
	if *update {
		d.must(os.WriteFile(desktopScript, []byte(got), 0o644))
		return
	}
	want, err := os.ReadFile(desktopScript)
	d.must(err)
	if got != string(want) {
		d.t.Errorf("the afternoon was another one than in %s (-update writes it anew):\n%s", desktopScript, got)
	}
}
