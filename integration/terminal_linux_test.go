package integration

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A terminal is one in which a program runs, with somebody who types and looks.
type terminal struct {
	t      testing.TB
	server string // tmux's socket
}

// newTerminal runs a command in a terminal of so many columns and lines.
func newTerminal(t testing.TB, columns, lines int, command ...string) *terminal {
	t.Helper()
	need(t, "tmux")
	term := &terminal{t, filepath.Join(t.TempDir(), "tmux")}
	args := []string{"-f", "/dev/null", "new-session", "-d", "-x", fmt.Sprint(columns), "-y", fmt.Sprint(lines)}
	term.tmux(append(args, command...)...)
	t.Cleanup(func() { exec.Command("tmux", "-S", term.server, "kill-server").Run() }) // it may have ended
	return term
}

func (term *terminal) tmux(args ...string) string {
	term.t.Helper()
	return run(term.t, "tmux", append([]string{"-S", term.server}, args...)...)
}

// write types text as it is, press keys by their names in tmux.
func (term *terminal) write(text string) { term.t.Helper(); term.tmux("send-keys", "-l", text) }
func (term *terminal) press(keys ...string) {
	term.t.Helper()
	term.tmux(append([]string{"send-keys"}, keys...)...)
}

// screen is what is to be seen.
func (term *terminal) screen() string { term.t.Helper(); return term.tmux("capture-pane", "-p") }

// await looks at the screen until it shows all of some texts, and returns it.
func (term *terminal) await(texts ...string) string {
	term.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		screen, missing := term.screen(), ""
		for _, text := range texts {
			if !strings.Contains(screen, text) {
				missing = text
			}
		}
		if missing == "" {
			return screen
		}
		if time.Now().After(deadline) {
			term.t.Fatalf("no %q on the screen:\n%s", missing, screen)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
