package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"
)

// watchInterval is how often a watched status is asked for.
const watchInterval = 200 * time.Millisecond

// A statusNews is what was learnt of mounts at a time.
type statusNews struct {
	all   []*mountStatus
	at    time.Time
	err   error
	ended bool // the only mount that is watched is no more; all is what it was last
}

// changed tells when something has changed that is worth telling: what grows all the time is not.
func (n *statusNews) changed(since *statusNews) bool { return n.key() != since.key() }

func (n *statusNews) key() (key string) {
	for _, st := range n.all {
		key += fmt.Sprint(st.Dir, st.State, st.Reason, st.Generation, st.HostRO, st.Files, st.Unsynced > 0, st.Names, "\n")
	}
	return key
}

// followStatus asks the mount on dir, or all mounts, again and again until ctx ends, and once at least. The
// last of the news is of an end or an error, if there is one.
func followStatus(ctx context.Context, dir string) <-chan *statusNews {
	news := make(chan *statusNews)
	go func() {
		defer close(news)
		var last []*mountStatus
		for {
			all, err := collectStatus(dir)
			n := &statusNews{all: all, at: time.Now(), err: err}
			if err != nil && last != nil && !stillMounted(dir) {
				n.all, n.err, n.ended = last, nil, true
			}
			last = all
			select {
			case news <- n:
			case <-ctx.Done():
				return
			}
			if n.err != nil || n.ended {
				return
			}
			select {
			case <-ctx.Done():
				return
			case <-time.After(watchInterval):
			}
		}
	}()
	return news
}

// watchStatus shows the status of mounts whenever something has changed, until ctx ends or the mount on dir
// does.
func watchStatus(ctx context.Context, out io.Writer, dir string, show func(io.Writer, []*mountStatus) error) error {
	var last *statusNews
	for n := range followStatus(ctx, dir) {
		switch {
		case n.err != nil:
			return n.err
		case n.ended:
			return nil // that is the end of what was to be seen
		case last == nil || n.changed(last):
			if err := show(out, n.all); err != nil {
				return withCode(exitSystem, err)
			}
			last = n
		}
	}
	return nil
}

// watchOnScreen is watchStatus on a whole terminal: it shows more, and anew each second. What was there last
// stays below what was on the terminal before.
func watchOnScreen(ctx context.Context, terminal *os.File, dir string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s, err := openScreen(terminal)
	if err != nil {
		return failf(exitSystem, "status: the terminal cannot be used: %w: 'fatvol status --watch | cat' shows lines", err)
	}
	defer s.close()
	view := &statusView{}
	following := followStatus(ctx, dir)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var last *statusNews
	for over := false; !over; {
		select {
		case n, ok := <-following:
			switch {
			case !ok:
				over = true
			case n.err != nil:
				return n.err
			default:
				view.learn(n)
				isNew := last == nil || n.changed(last)
				last, over = n, n.ended
				if !isNew {
					continue
				}
			}
		case key := <-s.keys:
			over = key == 'q' || key == 'Q' || key == keyInterrupt
			if key == keySuspend {
				s.suspend()
			}
			if !over {
				s.wantKey()
			}
		case <-s.stops:
			s.suspend()
		case <-s.resized:
		case <-tick.C:
		}
		if last == nil || over {
			continue
		}
		width, height := s.size()
		if err := s.draw(view.lines(time.Now(), width, height)); err != nil {
			return withCode(exitSystem, err)
		}
	}
	s.close()
	if last == nil {
		return nil
	}
	err = showStatus(terminal, last.all)
	if err == nil && last.ended {
		_, err = fmt.Fprintf(terminal, "%s: unmounted at %s\n", last.all[0].Dir, last.at.Format(time.TimeOnly))
	}
	return withCode(exitSystem, err)
}
