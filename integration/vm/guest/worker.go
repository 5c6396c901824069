//go:build linux

package main

import (
	"encoding/gob"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"fatvol/integration/vm/guestapi"
)

const (
	// maxRecords bounds a worker's memory.
	maxRecords = 400_000
	// updatePeriod is how often a worker tells its progress.
	updatePeriod = 50 * time.Millisecond
	// failurePause keeps workers from spinning when every call fails at once.
	failurePause = time.Millisecond
)

// runWorker is the process of a worker.
func runWorker(stdin io.Reader, stdout io.Writer) error {
	debug.SetPanicOnFault(true) // of mapped files; goroutines set it for themselves
	var w guestapi.Work
	if err := gob.NewDecoder(stdin).Decode(&w); err != nil {
		return fmt.Errorf("read the work: %w", err)
	}
	stop := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, stdin)
		close(stop)
	}()

	r := &recorder{work: w, stop: stop}
	r.mu.counts = map[guestapi.Outcome]int64{}
	updates := gob.NewEncoder(stdout)
	finished := make(chan struct{})
	var telling sync.WaitGroup
	telling.Go(func() {
		for tick := time.Tick(updatePeriod); ; {
			select {
			case <-finished:
				return
			case <-tick:
				_ = updates.Encode(update{Progress: r.progress()})
			}
		}
	})
	err := r.run()
	close(finished)
	telling.Wait()
	report := r.report()
	if err != nil {
		report.Err = err.Error()
	}
	return updates.Encode(update{Progress: r.progress(), Report: &report})
}

// run does the rounds of the work.
func (r *recorder) run() error {
	round, end, err := startRounds(r)
	if err != nil {
		return err
	}
	defer end()
	for n := 0; !r.stopped(); n++ {
		before := r.progress()
		round(n)
		now := r.progress()
		pause := r.work.Pause
		switch hurries := r.work.Rush > 0 && now.Failures > 0; {
		case hurries && now.Rushed < r.work.Rush:
			continue
		case hurries:
			<-r.stop
			return nil
		case now.Failures != before.Failures:
			pause += failurePause
		}
		if pause > 0 {
			select {
			case <-r.stop:
			case <-time.After(pause):
			}
		}
	}
	return nil
}

// startRounds opens what the worker keeps open, and returns its round and what closes it.
func startRounds(r *recorder) (round func(n int), end func(), err error) {
	switch r.work.Kind {
	case guestapi.Reader:
		return startReader(r)
	case guestapi.MmapReader:
		return startMmapReader(r)
	case guestapi.Writer:
		return startWriter(r)
	case guestapi.Creator:
		return startCreator(r)
	case guestapi.Appender:
		return startAppender(r)
	case guestapi.Lister:
		return func(int) { list(r) }, func() {}, nil
	case guestapi.Statter:
		return startStatter(r)
	case guestapi.Pulse:
		return startPulse(r)
	case guestapi.Opener:
		return func(n int) { open(r, n) }, func() {}, nil
	}
	return nil, nil, fmt.Errorf("no such kind of work: %q", r.work.Kind)
}

func openWork(w guestapi.Work, flags int) (*os.File, error) {
	return os.OpenFile(w.Path(), flags|directFlag(w), 0)
}
