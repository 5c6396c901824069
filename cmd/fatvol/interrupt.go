package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// untilSignal is a context that ends with the first signal that asks the program to end; the second
// one, unless it is a hang-up, ends the program.
func untilSignal(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(ctx, heeded(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)...)
	surviveHangUps()
	context.AfterFunc(ctx, stop)
	return ctx, stop
}

// surviveHangUps keeps hang-ups from ending the process by themselves, for good: a terminal that goes sends several,
// the shell's and the kernel's, and the second is no sign of impatience. They are caught and not ignored, since one on
// its way while signal.Ignore is at work would still end the process.
func surviveHangUps() {
	if !signal.Ignored(syscall.SIGHUP) {
		signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	}
}

// heeded are those of signals that this process was not started to ignore: nohup(1) has it ignore a hang-up, and a
// script what is typed to interrupt the script, where it runs in its background.
func heeded(signals ...os.Signal) (list []os.Signal) {
	for _, sig := range signals {
		if !signal.Ignored(sig) {
			list = append(list, sig)
		}
	}
	return list
}

// survivePipes keeps the process from being ended by a pipe that nobody reads any more, as at 'fatvol rm -v … | head':
// what it has begun with a volume is first brought to an end. Writing to the pipe fails from here on.
func survivePipes() { signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) }
