package fs

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// How requests get from the kernel to those who serve them, and why go-fuse's own loop does not do that:
// docs/kernel.md, "Who serves a request".

const (
	// maxServers bounds the requests that are served at once, each of which has a buffer for the largest.
	maxServers = maxInflight / maxWrite
	// backlog is how many requests in a row one who reads alone finds waiting before another one helps.
	backlog = 16
	// spinTime is how long the next request is looked for before the thread sleeps, where that was worth it
	// lately. It is about what waking a thread on an idle processor takes; below leastSpin it is not worth it.
	spinTime  = 50 * time.Microsecond
	leastSpin = 5 * time.Microsecond
	// yieldTime is how often the goroutine yields while it looks. Others have another thread to run on, which Gosched
	// wakes each time, normally for nothing; but all may be taken.
	yieldTime = time.Millisecond
	// tooLong is how long, about, a request is served until somebody else reads.
	tooLong = 2 * time.Millisecond
	// seldom is how rarely it is seen to that somebody reads, while no request takes longer than that; each look
	// wakes threads. After one that did, there is a look each tooLong for alert.
	seldom = 16 * time.Millisecond
	alert  = 200 * time.Millisecond
	// offDuty without a request ends the looks.
	offDuty = 40 * time.Millisecond
	// goodMany requests are worth a call of Options.Idle after them.
	goodMany = 256
)

// A session takes the kernel's requests from /dev/fuse, has go-fuse decode and dispatch them, and sends the
// replies. As long as whoever takes a request also soon finishes it, one goroutine does it all, on one thread;
// what takes longer is noticed by relief, and then another one reads.
type session struct {
	fd    int // as long as a server runs
	file  *os.File
	conn  syscall.RawConn
	proto *fuse.ProtocolServer
	log   *slog.Logger

	lender  Lender // of memory for requests
	replies *pool  // and for what READ and READDIR return

	over  func() // told at the end
	lull  *lull
	spins bool // there is another processor for whoever sends requests

	reading atomic.Int32  // servers that look for requests
	taken   atomic.Uint64 // requests so far
	alone   atomic.Uint64 // which of them is being served while nobody reads; 0: none is

	servers atomic.Int32 // those that wait to be wanted included
	wanted  chan struct{}
	watched atomic.Bool   // relief is on duty
	stir    chan struct{} // calls it
	wakeup  *wakeup       // relief's
	quit    chan struct{} // closed when the mount is gone
	ended   sync.Once
	work    sync.WaitGroup
}

// newSession takes over fd, and greets the kernel, which says what it can do.
func newSession(fs *fileSystem, fd int) (*session, *fuse.InitIn, error) {
	// Made while the descriptor blocks: otherwise Go's poller would have an eye on it, and be woken by each request.
	file := os.NewFile(uintptr(fd), devFuse)
	conn, err := file.SyscallConn()
	if err == nil {
		err = os.NewSyscallError("fcntl", unix.SetNonblock(fd, true))
	}
	if err != nil {
		file.Close()
		return nil, nil, err
	}
	s := &session{
		fd: fd, file: file, conn: conn, proto: fuse.NewProtocolServer(fs, fs.fuseOptions()), log: fs.opt.Log, over: fs.OnUnmount,
		lender: fs.opt.Lender, replies: newPool(),
		spins:  runtime.GOMAXPROCS(0) > 1,
		wanted: make(chan struct{}), stir: make(chan struct{}, 1), quit: make(chan struct{}),
	}
	settings, err := s.greet()
	if err != nil {
		file.Close()
		return nil, nil, err
	}
	s.wakeup = newWakeup(&fs.opt)
	s.lull = newLull(&fs.opt)
	return s, settings, nil
}

// greet serves the first request, which is INIT.
func (s *session) greet() (*fuse.InitIn, error) {
	srv := server{session: s}
	for {
		n, err := srv.read()
		switch {
		case err == unix.EAGAIN:
			if err := s.poll(); err != nil {
				return nil, err
			}
		case err != nil:
			return nil, os.NewSyscallError("read", err)
		default:
			m := srv.message(n)
			settings, err := m.init()
			if err != nil {
				return nil, err
			}
			if st := srv.serve(m); !st.Ok() {
				return nil, fmt.Errorf("FUSE protocol %d.%d: %w", settings.Major, settings.Minor, syscall.Errno(st))
			}
			return settings, nil
		}
	}
}

// Serve serves until the mount is gone.
func (s *session) Serve() {
	s.work.Go(s.relief)
	s.recruit()
	s.work.Wait()
	s.file.Close() // notifications under way keep it open
	s.over()
}

// end is called by whoever hears first that the mount is gone.
func (s *session) end() { s.ended.Do(func() { close(s.quit) }) }

// recruit has one more server read.
func (s *session) recruit() {
	select {
	case s.wanted <- struct{}{}:
		return
	case <-s.quit:
		return
	default:
	}
	if s.servers.Add(1) > maxServers {
		s.servers.Add(-1)
		return
	}
	s.work.Go(func() { (&server{session: s, budget: spinTime}).loop() })
}

// relief recruits when a request takes long and nobody reads, and knows how close requests follow each other. It sleeps
// while there are none.
func (s *session) relief() {
	defer s.wakeup.close()
	defer s.lull.end()
	for {
		select {
		case <-s.quit:
			return
		case <-s.lull.timer.C:
			s.lull.call(s.taken.Load())
			continue
		case <-s.stir:
			s.lull.end()
		}
		if !s.look() {
			return
		}
		s.wakeup.set(false)
		s.watched.Store(false)
		if s.alone.Load() != 0 {
			s.watch()
		}
		s.lull.begin()
	}
}

// A lull knows when to call Options.Idle.
type lull struct {
	opt   *Options
	timer *time.Timer
	told  uint64 // requests until it was called last
}

func newLull(opt *Options) *lull {
	l := &lull{opt: opt, timer: time.NewTimer(opt.IdleAfter)}
	l.end()
	return l
}

// begin is told that there are no requests, end that there are again.
func (l *lull) begin() {
	if l.opt.Idle != nil {
		l.timer.Reset(l.opt.IdleAfter)
	}
}

func (l *lull) end() { l.timer.Stop() }

// call is told that the time is over, with the requests so far.
func (l *lull) call(taken uint64) {
	if taken-l.told >= goodMany {
		l.told = taken
		l.opt.Idle()
	}
}

// look sees to it that somebody reads, until there have been no requests for a while. It returns false when there
// will be none.
func (s *session) look() bool {
	seen, suspect := s.taken.Load(), uint64(0)
	last := time.Now()
	busy, alerted := last, time.Time{} // when there was a request, and one that took long
	pace := tooLong
	timer := time.NewTimer(pace)
	defer timer.Stop()
	for {
		select {
		case <-s.quit:
			return false
		case <-timer.C:
		}
		now, alone, taken := time.Now(), s.alone.Load(), s.taken.Load()
		s.wakeup.tick(float64(taken-seen), now.Sub(last))
		if taken != seen || alone != 0 {
			busy = now
		}
		if now.Sub(busy) >= offDuty {
			return true
		}
		stuck := alone != 0 && alone == suspect
		if stuck {
			s.recruit()
			alerted = now
		}
		again := alone != 0 && suspect == 0 // whether it takes long is seen next time
		seen, suspect, last = taken, alone, now
		switch {
		case again, now.Sub(alerted) < alert:
			timer.Reset(tooLong)
		default:
			suspect = 0
			pace = min(2*pace, seldom)
			timer.Reset(pace)
		}
	}
}

// watch has relief on duty.
func (s *session) watch() {
	if !s.watched.Load() && s.watched.CompareAndSwap(false, true) {
		s.stir <- struct{}{} // has room: it was empty when relief went off duty
	}
}

// poll waits for a request, or for the end.
func (s *session) poll() error {
	fds := []unix.PollFd{{Fd: int32(s.fd), Events: unix.POLLIN}}
	for {
		if _, err := unix.Poll(fds, -1); err != unix.EINTR {
			return os.NewSyscallError("poll", err)
		}
	}
}

// send writes a reply or a notification.
func (s *session) send(parts [][]byte) error {
	for {
		_, err := unix.Writev(s.fd, parts)
		if err != unix.EINTR {
			return err
		}
	}
}

// A server takes requests and serves them, one at a time.
type server struct {
	*session
	in, out []byte // buffers, while it has them; in is borrowed

	idle    time.Time     // since when there is nothing to do; zero while there is
	yielded time.Time     // when its goroutine last let others run
	budget  time.Duration // how long it looks for the next request
	row     int           // requests in a row that were there when it looked
}

// loop serves until the mount is gone.
func (v *server) loop() {
	defer v.rest()
	v.reading.Add(1)
	v.alone.Store(0)
	for {
		n, err := v.read()
		switch err {
		case nil:
			v.take(v.message(n))
		case unix.EAGAIN:
			if !v.wait() {
				return
			}
		case unix.EINTR, unix.ENOENT: // the request was taken back
		case unix.ENODEV, unix.ECONNABORTED:
			v.end()
			return
		default: // the kernel has answered it with EIO
			v.log.Warn("a request of the kernel cannot be read", "err", err)
			time.Sleep(tooLong)
		}
	}
}

// take serves a request.
func (v *server) take(m message) {
	if v.budget < spinTime && !v.idle.IsZero() {
		v.budget = spinTime // it came while we looked
	}
	v.idle = time.Time{}
	n := v.taken.Add(1)
	if v.reading.Add(-1) == 0 {
		v.alone.Store(n)
		if v.row++; v.row >= backlog {
			v.row = 0
			v.recruit()
		}
		v.watch()
	}
	v.serve(m)
	if m.opcode() == opWrite {
		v.release() // what was written may be kept where it is
	}
	v.reading.Add(1)
	v.alone.Store(0)
}

// wait is called when there is no request. It returns false when there will be no more.
func (v *server) wait() bool {
	v.row = 0
	if v.reading.Load() > 1 {
		// Enough that one of us reads.
		if v.reading.Add(-1) > 0 {
			v.rest()
			select {
			case <-v.wanted:
			case <-v.quit:
				v.reading.Add(1)
				return false
			}
		}
		v.reading.Add(1)
		v.alone.Store(0)
		return true
	}
	now := time.Now()
	if v.idle.IsZero() {
		v.idle = now
	}
	if v.spins && now.Sub(v.idle) < v.budget {
		// Somebody else may have use for the processor: whoever is about to send a request, or who serves one.
		_, _, _ = unix.RawSyscall(unix.SYS_SCHED_YIELD, 0, 0, 0)
		if now.Sub(v.yielded) > yieldTime {
			v.yielded = now
			runtime.Gosched()
		}
		return true
	}
	v.rest()
	if err := v.poll(); err != nil {
		v.log.Warn("the kernel's requests cannot be waited for", "err", err)
		time.Sleep(tooLong)
	}
	if time.Since(v.idle) < 2*spinTime {
		v.budget = spinTime
	} else if v.budget /= 2; v.budget < leastSpin {
		v.budget = 0
	}
	v.idle = time.Time{}
	return true
}

// requestOffset is where a request is put into a buffer, so that the data of a write begins with a page.
const requestOffset = 4096 - writeInSize

// read takes a request from the kernel. It does not wait for one.
func (v *server) read() (int, error) {
	if v.in == nil {
		v.in = v.lender.Lend()
	}
	return unix.Read(v.fd, v.in[requestOffset:])
}

// message returns the request of n bytes that was read.
func (v *server) message(n int) message { return message(v.in[requestOffset:][:n]) }

// rest gives the buffers back.
func (v *server) rest() {
	v.release()
	if v.out != nil {
		v.replies.TakeBack(v.out)
		v.out = nil
	}
}

// release gives the buffer of the request back.
func (v *server) release() {
	if v.in != nil {
		v.lender.TakeBack(v.in)
		v.in = nil
	}
}

// serve has go-fuse handle a request, and sends the reply, if there is to be one.
func (v *server) serve(m message) fuse.Status {
	var r reply
	if err := r.prepare(m, v.payload); err != nil {
		v.log.Error("a request of the kernel makes no sense", "err", err)
		if len(m) < inHeaderSize {
			return fuse.EIO // there is nobody to tell
		}
		r.fail(m, fuse.EIO)
	} else if _, st := v.proto.HandleRequest(m.parts(), r.parts()); !st.Ok() {
		r.fail(m, st)
	}
	parts := r.sent()
	if parts == nil {
		return fuse.OK
	}
	// ENOENT: nobody waits for the reply any more.
	if err := v.send(parts); err != nil && err != unix.ENOENT && err != unix.ENODEV {
		v.log.Error("the kernel does not take a reply", "opcode", m.opcode(), "err", err)
	}
	return r.status()
}

// payload returns room for n bytes of a reply, or nil if there is not so much.
func (v *server) payload(n int) []byte {
	if v.out == nil {
		v.out = v.replies.Lend()
	}
	if n > len(v.out) {
		return nil
	}
	return v.out[:n]
}

var errShort = errors.New("it is too short")
