package main

import (
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"

	"github.com/mattn/go-runewidth"
	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// Keys that a terminal in raw mode makes no signals of.
const (
	keyInterrupt = 'C' - '@'
	keySuspend   = 'Z' - '@'
)

// Sequences of ECMA-48 terminals, as xterm and everything after it has them.
const (
	seqEnter   = "\x1b[?1049h\x1b[?25l" // another screen, no cursor
	seqLeave   = "\x1b[?25h\x1b[?1049l"
	seqHome    = "\x1b[H"
	seqEndLine = "\x1b[K" // erase the rest of the line
	seqEnd     = "\x1b[J" // and of the screen
	seqPlain   = "\x1b[0m"
)

// A style is how a piece of a line looks.
type style uint8

const (
	plain style = iota
	bold
	dim
	good
	warn
	bad
)

// styleCodes are the parameters of SGR.
var styleCodes = map[style]string{bold: "1", dim: "2", good: "1;32", warn: "1;33", bad: "1;31"}

// A piece is a part of a line.
type piece struct {
	text string
	style
}

// A screen is a whole terminal, in use until close. Its keys are read where standard input is a terminal.
type screen struct {
	out     *os.File
	in      int         // standard input; -1 where it is no terminal
	cooked  *term.State // how in was
	colour  bool
	keys    chan byte
	next    chan struct{} // asks for another key: what comes after the last is for whoever reads then
	resized chan os.Signal
	stops   chan os.Signal // somebody else asks to suspend
	done    chan struct{}
	close   func() // gives the terminal back as it was; may be called again
}

// openScreen takes the terminal out.
func openScreen(out *os.File) (*screen, error) {
	s := &screen{
		out: out, in: -1, colour: os.Getenv("NO_COLOR") == "",
		keys: make(chan byte), next: make(chan struct{}, 1), resized: make(chan os.Signal, 1), stops: make(chan os.Signal, 1), done: make(chan struct{}),
	}
	if fd := int(os.Stdin.Fd()); term.IsTerminal(fd) {
		s.in = fd
	}
	if err := s.enter(); err != nil {
		return nil, err
	}
	signal.Notify(s.resized, unix.SIGWINCH)
	signal.Notify(s.stops, unix.SIGTSTP)
	if s.in >= 0 {
		s.wantKey()
		go s.read()
	}
	s.close = sync.OnceFunc(func() {
		signal.Stop(s.resized)
		signal.Stop(s.stops)
		close(s.done)
		s.leave()
	})
	return s, nil
}

func (s *screen) enter() (err error) {
	if s.in >= 0 {
		if s.cooked, err = term.MakeRaw(s.in); err != nil {
			return err
		}
	}
	if _, err = s.out.WriteString(seqEnter); err != nil {
		s.leave()
	}
	return err
}

// leave undoes enter. A terminal that is gone needs nothing.
func (s *screen) leave() {
	_, _ = s.out.WriteString(seqPlain + seqLeave)
	if s.in >= 0 {
		_ = term.Restore(s.in, s.cooked)
	}
}

// read passes on what the user types, a key at a time.
func (s *screen) read() {
	var key [1]byte
	for range s.next {
		if n, err := os.Stdin.Read(key[:]); n == 0 || err != nil {
			return
		}
		select {
		case s.keys <- key[0]:
		case <-s.done:
			return
		}
	}
}

// wantKey asks for the next key.
func (s *screen) wantKey() {
	select {
	case s.next <- struct{}{}:
	default:
	}
}

// suspend gives the terminal back until the user has the process go on.
func (s *screen) suspend() {
	// This thread may run on for a moment after the kill, so it waits for what ends the stop.
	goesOn := make(chan os.Signal, 1)
	signal.Notify(goesOn, unix.SIGCONT)
	defer signal.Stop(goesOn)
	s.leave()
	_ = syscall.Kill(0, syscall.SIGSTOP) // may not fail: we may signal ourselves
	<-goesOn
	_ = s.enter() // as it worked before
}

// size is that of the terminal in columns and lines.
func (s *screen) size() (width, height int) {
	width, height, err := term.GetSize(int(s.out.Fd()))
	if err != nil || width <= 0 || height <= 0 {
		return 80, 24
	}
	return width, height
}

// draw fills the screen with lines, as much of them as there is room for.
func (s *screen) draw(lines [][]piece) error {
	width, height := s.size()
	lines = lines[:min(len(lines), height)]
	var b strings.Builder
	b.WriteString(seqHome)
	for i, line := range lines {
		if i > 0 {
			b.WriteString("\r\n")
		}
		s.drawLine(&b, line, width)
	}
	b.WriteString(seqEnd)
	_, err := s.out.WriteString(b.String())
	return err
}

func (s *screen) drawLine(b *strings.Builder, line []piece, width int) {
	for _, p := range line {
		text := runewidth.Truncate(p.text, width, "")
		width -= runewidth.StringWidth(text)
		code, styled := styleCodes[p.style]
		styled = styled && s.colour
		if styled {
			b.WriteString("\x1b[" + code + "m")
		}
		b.WriteString(text)
		if styled {
			b.WriteString(seqPlain)
		}
	}
	if width > 0 { // in the last column, it would erase what is there
		b.WriteString(seqEndLine)
	}
}

// breakWords breaks a text between words, for lines of so many columns.
func breakWords(text string, width int) (lines []string) {
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && runewidth.StringWidth(line)+1+runewidth.StringWidth(word) > width {
			lines, line = append(lines, line), word
		} else if line != "" {
			line += " " + word
		} else {
			line = word
		}
	}
	return append(lines, line)
}
