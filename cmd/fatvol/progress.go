package main

import (
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"
)

const (
	// progressDelay is how long a command works before it says anything: most are done by then.
	progressDelay = time.Second
	// progressTick is the time between two drawings of the bar.
	progressTick = 100 * time.Millisecond
	// progressLineEvery is the time between two lines where there is no terminal.
	progressLineEvery = 10 * time.Second
)

// A progress tells, while a command works, how many bytes it has done, at which rate, and when it
// will be ready: with a bar where out is a terminal, with lines of text elsewhere, and not at all
// when the command is done within a second. A nil *progress tells nothing.
type progress struct {
	out   io.Writer
	what  string
	total int64 // bytes; 0 when not known
	start time.Time
	done  atomic.Int64
	stop  chan struct{} // closed to end the teller
	ended chan struct{} // closed by the teller
}

// startProgress begins to tell on out, which is os.Stderr but for tests, about total bytes of work;
// total is 0 where that is not known. The caller ends it with close.
func startProgress(out io.Writer, what string, total int64) *progress {
	p := &progress{
		out: out, what: what, total: max(total, 0), start: time.Now(),
		stop: make(chan struct{}), ended: make(chan struct{}),
	}
	go p.tell(isTerminal(out))
	return p
}

// add counts n bytes as done. Any goroutine may call it.
func (p *progress) add(n int64) {
	if p != nil {
		p.done.Add(n)
	}
}

// close ends the telling: the bar is gone when it returns, and other text can follow.
func (p *progress) close() {
	if p != nil {
		close(p.stop)
		<-p.ended
	}
}

// isTerminal reports whether a bar can be drawn on w.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && os.Getenv("TERM") != "dumb" && term.IsTerminal(int(f.Fd()))
}

func (p *progress) tell(terminal bool) {
	defer close(p.ended)
	var bar *mpb.Bar
	wait := time.NewTimer(progressDelay)
	defer wait.Stop()
	for {
		select {
		case <-p.stop:
			return
		case <-wait.C:
		}
		if !terminal {
			fmt.Fprintln(p.out, p.line(time.Since(p.start)))
			wait.Reset(progressLineEvery)
			continue
		}
		if bar == nil {
			bars := mpb.New(mpb.WithOutput(p.out), mpb.WithRefreshRate(progressTick), mpb.WithAutoRefresh())
			defer bars.Wait()
			bar = p.newBar(bars)
			defer bar.Abort(true) // and it disappears
		}
		bar.SetCurrent(p.shown())
		wait.Reset(progressTick)
	}
}

// shown is what is done, without the last byte: a bar that is full is one that has ended.
func (p *progress) shown() int64 {
	done := p.done.Load()
	if p.total > 0 {
		done = min(done, p.total-1)
	}
	return done
}

func (p *progress) newBar(bars *mpb.Progress) *mpb.Bar {
	name := mpb.PrependDecorators(decor.Name(p.what + " "))
	speed := decor.NewAverageSpeed(decor.SizeB1024(0), "% .1f", p.start)
	if p.total == 0 {
		return bars.New(0, mpb.SpinnerStyle(), name, mpb.AppendDecorators(decor.CurrentKibiByte("% .0f, "), speed))
	}
	return bars.New(p.total, mpb.BarStyle(), name, mpb.AppendDecorators(
		decor.NewPercentage("%d"), decor.CountersKibiByte(", % .0f / % .0f, "), speed,
		decor.Name(", "), decor.NewAverageETA(decor.ET_STYLE_GO, p.start, nil), decor.Name(" left"),
	))
}

// line is the progress after some time as a line of text.
func (p *progress) line(elapsed time.Duration) string {
	done := p.done.Load()
	rate := float64(done) / elapsed.Seconds()
	text := fmt.Sprintf("fatvol: %s: %s", p.what, byteCount(done))
	if p.total > 0 {
		text += fmt.Sprintf(" of %s (%d%%)", byteCount(p.total), min(int64(float64(done)/float64(p.total)*100), 100))
	}
	text += fmt.Sprintf(", %s/s", byteCount(int64(rate)))
	if left := p.total - done; left > 0 && rate > 0 {
		text += fmt.Sprintf(", %v left", time.Duration(float64(left)/rate*float64(time.Second)).Round(time.Second))
	}
	return text
}
