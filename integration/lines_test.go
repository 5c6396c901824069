package integration

import (
	"bufio"
	"os/exec"
	"regexp"
	"testing"
	"time"
)

// lines are those that a program prints while it runs.
type lines struct {
	t   testing.TB
	cmd *exec.Cmd
	c   chan string
}

func newLines(t testing.TB, name string, args ...string) *lines {
	t.Helper()
	l := &lines{t, exec.Command(name, args...), make(chan string, 100)}
	out, err := l.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := l.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.cmd.Process.Kill() })
	go func() {
		defer close(l.c)
		for s := bufio.NewScanner(out); s.Scan(); {
			l.c <- s.Text()
		}
	}()
	return l
}

// expect waits for a line that matches.
func (l *lines) expect(pattern string) {
	l.t.Helper()
	re, overdue := regexp.MustCompile(pattern), time.After(patience)
	for {
		select {
		case line, ok := <-l.c:
			if !ok {
				l.t.Fatalf("it ended before a line like %q", pattern)
			}
			if re.MatchString(line) {
				return
			}
		case <-overdue:
			l.t.Fatalf("no line like %q", pattern)
		}
	}
}
