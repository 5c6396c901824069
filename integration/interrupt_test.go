package integration

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Commands that are interrupted while they wait for the host, at several moments: the host holds the k-th call
// until the signal is there.

// interrupted runs fatvol, and interrupts it while the host holds the k-th call.
func interrupted(t *testing.T, h *host, k int, args ...string) (out string, code int, held bool) {
	t.Helper()
	return signalled(t, h, k, syscall.SIGINT, exec.Command(binary(t), args...))
}

// signalled runs a command, sends it a signal while the host holds the k-th call, and lets the host go on, slowly at
// first. held is false where it ended before. A hang-up comes again and again.
func signalled(t *testing.T, h *host, k int, sig syscall.Signal, cmd *exec.Cmd) (out string, code int, held bool) {
	t.Helper()
	h.hang(k)
	var buf bytes.Buffer
	cmd.Stdout, cmd.Stderr = &buf, &buf
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // its state has the exit code
		close(ended)
	}()
	await := func(what string, done func() bool) {
		t.Helper()
		for end := time.Now().Add(patience); !done(); time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				h.heal()
				_ = cmd.Process.Kill()
				t.Fatalf("%q: %s\n%s", cmd.Args, what, buf.Bytes())
			}
		}
	}
	hasEnded := func() bool {
		select {
		case <-ended:
			return true
		default:
			return false
		}
	}
	await("neither ends nor comes to the host", func() bool { held = h.held() > 0; return held || hasEnded() })
	if held {
		if err := cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		// The kernel hands it to another thread, or to the one that is held when its call ends, and that thread to
		// the program's own code. Until then the host answers one call at a time, or all is done before that.
		for range 256 {
			h.hang(1)
			await("neither ends nor goes on", func() bool { return h.held() > 0 || hasEnded() })
			if hasEnded() {
				break
			}
			if sig == syscall.SIGHUP {
				_ = cmd.Process.Signal(sig) // it may have ended now
			}
		}
	}
	h.heal()
	await("does not end", hasEnded)
	return buf.String(), cmd.ProcessState.ExitCode(), held
}

// TestInterruptedArranging: defrag and resize leave a volume that is whole, with all files, and that the same
// command goes on with.
func TestInterruptedArranging(t *testing.T) {
	needFUSE(t)
	for _, tc := range []struct{ name, option, size string }{
		{"defrag", "--pack", ""}, {"resize", "--quiet", "40M"}, {"resize", "--quiet", "10M"},
	} {
		t.Run(strings.TrimSpace(tc.name+" "+tc.size), func(t *testing.T) {
			img, extract := piecemeal(t, "16M", "-F", "16")
			want := extract()
			base, err := os.ReadFile(img)
			if err != nil {
				t.Fatal(err)
			}
			h := newHost(t)
			args := []string{tc.name, tc.option, h.img}
			if tc.size != "" {
				args = append(args, tc.size)
			}
			restore := func() {
				if err := os.WriteFile(h.backing, base, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			compare := func(what string) {
				t.Helper()
				now, err := os.ReadFile(h.backing)
				if err == nil {
					err = os.WriteFile(img, now, 0o644)
				}
				if err != nil {
					t.Fatal(err)
				}
				fsckFaultless(t, what, img)
				run(t, "diff", "-r", want, extract())
			}
			restore()
			h.heal() // counts from here
			run(t, binary(t), args...)
			calls := h.dataCalls()
			compare("uninterrupted")
			stopped := 0
			const moments = 6
			for i := range moments {
				restore()
				k := 1 + calls*i/moments
				out, code, held := interrupted(t, h, k, args...)
				what := fmt.Sprintf("interrupted at call %d of %d", k, calls)
				switch {
				case code == 8 && strings.Contains(out, "stopped; the volume is whole") && strings.Count(out, "\n") == 1:
					stopped++
				case code != 0: // it had nothing more to do
					t.Errorf("%s: exit code %d, held %v, says %q", what, code, held, out)
				}
				compare(what)
				run(t, binary(t), args...)
				compare(what + ", and gone on with")
			}
			if stopped < moments/2 {
				t.Errorf("only %d of %d were stopped", stopped, moments)
			}
		})
	}
}

// TestInterruptedCreate: create ends while its source does not answer, and leaves nothing, or what was there.
func TestInterruptedCreate(t *testing.T) {
	needFUSE(t)
	h := newHost(t)
	dir := t.TempDir()
	img := filepath.Join(dir, "new.img")
	args := []string{"create", img, "--quiet", "--size", "32M", "--from", filepath.Dir(h.img)}
	h.heal()
	run(t, binary(t), args...)
	calls := h.dataCalls()
	if err := os.Remove(img); err != nil {
		t.Fatal(err)
	}
	for _, there := range []bool{false, true} {
		says := "nothing is left of it"
		if there {
			if err := os.WriteFile(img, []byte("what was there"), 0o644); err != nil {
				t.Fatal(err)
			}
			args, says = append(args, "--force"), "it is as it was"
		}
		for _, k := range []int{1, 2, calls / 2} {
			out, code, held := interrupted(t, h, k, args...)
			if !held || code != 8 || !strings.Contains(out, "interrupted: "+says) {
				t.Errorf("interrupted at call %d of %d: exit code %d, held %v, says %q", k, calls, code, held, out)
			}
			entries, err := os.ReadDir(dir)
			content, _ := os.ReadFile(img)
			if err != nil || there && (len(entries) != 1 || string(content) != "what was there") || !there && len(entries) != 0 {
				t.Errorf("interrupted at call %d of %d: %v, %v, %.20q", k, calls, err, entries, content)
			}
		}
	}
}
