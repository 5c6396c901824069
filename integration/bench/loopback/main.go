//go:build linux

// Command loopback mounts a directory on another one and only forwards: the yardstick of integration/bench.
// It is go-fuse's own example with that one's defaults, but for the kernel's passthrough, which would leave
// nothing to measure.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: loopback DIR MOUNTPOINT")
		os.Exit(2)
	}
	if err := serve(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "loopback:", err)
		os.Exit(1)
	}
}

func serve(dir, mountPoint string) error {
	root, err := fs.NewLoopbackRoot(dir)
	if err != nil {
		return err
	}
	second := time.Second
	server, err := fs.Mount(mountPoint, root, &fs.Options{
		AttrTimeout:     &second,
		EntryTimeout:    &second,
		NullPermissions: true,
		MountOptions: fuse.MountOptions{
			FsName:               dir,
			Name:                 "loopback",
			DirectMount:          true, // fusermount3 where that is not permitted
			DisabledCapabilities: fuse.CAP_PASSTHROUGH,
		},
	})
	if err != nil {
		return err
	}
	fmt.Println("mounted")
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		_ = server.Unmount()
	}()
	server.Wait()
	return nil
}
