//go:build linux

package main

import (
	"errors"
	"math"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"fatvol/integration/vm/guestapi"
)

// kernelLogPeriod is short enough for a storm not to overwrite what has not been read.
const kernelLogPeriod = 50 * time.Millisecond

// kernelLog keeps all messages of the kernel. They are read as they come, because the kernel's own
// buffer is a ring that a storm of messages overwrites.
type kernelLog struct {
	fd     int
	offset int64 // from the clock of the kernel's messages to CLOCK_MONOTONIC, in nanoseconds
	mu     struct {
		sync.Mutex
		lines []guestapi.KernelLine
		next  uint64 // number of the message that is read next
	}
}

func followKernelLog() (*kernelLog, error) {
	// Messages at the rate of a storm must not be dropped before they get here.
	_ = os.WriteFile("/proc/sys/kernel/printk_ratelimit", []byte("0"), 0)
	_ = os.WriteFile("/proc/sys/kernel/printk_devkmsg", []byte("on"), 0)
	fd, err := unix.Open("/dev/kmsg", unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	l := &kernelLog{fd: fd}
	if err := l.calibrate(); err != nil {
		return nil, err
	}
	go func() {
		for range time.Tick(kernelLogPeriod) {
			l.mark()
		}
	}()
	return l, nil
}

// calibrate compares the clocks by messages that it logs itself. The one that took the shortest time
// is right to within that time.
func (l *kernelLog) calibrate() error {
	const tries = 8
	least := int64(math.MaxInt64)
	for range tries {
		mark := l.mark()
		before := monotonic()
		if err := os.WriteFile("/dev/kmsg", []byte("<7>guest: comparing clocks"), 0); err != nil {
			return err
		}
		after := monotonic()
		lines := l.since(mark)
		if len(lines) == 1 && after-before < least {
			least = after - before
			l.offset += before + (after-before)/2 - lines[0].At
		}
	}
	if least == math.MaxInt64 {
		return errors.New("messages do not arrive in the kernel's log")
	}
	return nil
}

// drainLocked reads what is new.
func (l *kernelLog) drainLocked() {
	buf := make([]byte, 8192)
	for {
		n, err := unix.Read(l.fd, buf)
		switch {
		case errors.Is(err, syscall.EPIPE), errors.Is(err, syscall.EINTR):
			continue // EPIPE: overwritten; the next read goes on with the oldest that is left
		case err != nil || n <= 0:
			return
		}
		// "priority,number,microseconds,flags;text\n properties\n"
		head, text, _ := strings.Cut(string(buf[:n]), ";")
		fields := strings.Split(head, ",")
		if len(fields) < 3 {
			continue
		}
		seq, _ := strconv.ParseUint(fields[1], 10, 64)
		micros, _ := strconv.ParseInt(fields[2], 10, 64)
		text, _, _ = strings.Cut(text, "\n")
		l.mu.lines = append(l.mu.lines, guestapi.KernelLine{Seq: seq, At: micros*1000 + l.offset, Text: text})
		l.mu.next = seq + 1
	}
}

func (l *kernelLog) mark() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.drainLocked()
	return l.mu.next
}

func (l *kernelLog) since(seq uint64) []guestapi.KernelLine {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.drainLocked()
	for i, line := range l.mu.lines {
		if line.Seq >= seq {
			return l.mu.lines[i:]
		}
	}
	return nil
}

// systemLog is what programs send to /dev/log.
type systemLog struct {
	mu struct {
		sync.Mutex
		lines []guestapi.Line
	}
}

func listenSystemLog(path string) (*systemLog, error) {
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return nil, err
	}
	l := &systemLog{}
	go func() {
		buf := make([]byte, 64<<10)
		for {
			n, err := conn.Read(buf)
			if err != nil {
				return
			}
			l.mu.Lock()
			l.mu.lines = append(l.mu.lines, guestapi.Line{At: monotonic(), Text: string(buf[:n])})
			l.mu.Unlock()
		}
	}()
	return l, nil
}

func (l *systemLog) since(index int) []guestapi.Line {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.lines[min(max(index, 0), len(l.mu.lines)):]
}
