package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The live view follows a pull and the return, the size of the terminal, and the end of the mount, and
// leaves the terminal as it was.
func TestStatusOnTerminal(t *testing.T) {
	stick := lazyStage(t)
	dir := mountImage(t, stick.img)
	other := mountImage(t, mkfsFAT(t, 4<<20))
	term := newTerminal(t, 120, 40, "env", "PS1=$ ", "PATH="+filepath.Dir(binary(t))+":"+os.Getenv("PATH"), "bash", "--norc")
	command := func(line string) {
		term.write(line)
		term.press("Enter")
	}
	clean := func() {
		t.Helper()
		// One thing after the other: the terminal echoes again, and the cursor is there.
		command("echo cle''an")
		term.await("clean")
		if got := strings.TrimSpace(term.tmux("display-message", "-p", "#{alternate_on} #{cursor_flag}")); got != "0 1" {
			t.Errorf("the other screen, and the cursor: %s", got)
		}
		command("clear")
	}

	command("fatvol status --watch " + dir)
	term.await(dir+"  present  since", "[--------------------]", "history")
	if err := os.WriteFile(filepath.Join(dir, "file"), make([]byte, 3<<20), 0o666); err != nil {
		t.Fatal(err)
	}
	term.await("in all 3 MiB")
	stick.away()
	term.await(dir+"  gone  since", "everything fails until it is back", "gone: the host was unmounted")
	stick.back()
	term.await("present again  since", "gone: the host was unmounted")
	if screen := term.screen(); strings.Contains(screen, other) {
		t.Errorf("another mount:\n%s", screen)
	}
	term.press("C-c")
	term.await("MOUNTED ON", "present again")
	clean()

	// All mounts, on a terminal that becomes too small for more than a line of each.
	command("fatvol status --watch")
	term.await(dir+"  present again", other+"  present", "history")
	term.tmux("resize-window", "-x", "100", "-y", "6")
	term.await(dir+"  present again  read ", other+"  present  read ", "q: quit")
	term.tmux("resize-window", "-x", "120", "-y", "40")
	term.await("history")
	term.press("C-z")
	term.await("Stopped")
	clean()
	command("fg")
	term.await(dir+"  present again", "history")
	term.press("q")
	term.await("MOUNTED ON")
	clean()

	command("NO_COLOR=1 fatvol status --watch " + other)
	term.await(other+"  present  since", "history")
	if screen := term.tmux("capture-pane", "-p", "-e"); strings.Contains(screen, "\x1b[") {
		t.Errorf("colours: %q", screen)
	}
	umount(t, other)
	term.await(other + ": unmounted at")
	clean()
}
