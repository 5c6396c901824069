package main

import (
	"net"
	"os"
	"strings"
)

// notifySupervisor tells the service manager that started this process about its state, by the
// protocol of sd_notify(3): each of lines is an assignment such as "READY=1". Without a service
// manager it does nothing.
func notifySupervisor(lines ...string) {
	socket := os.Getenv("NOTIFY_SOCKET")
	if socket == "" {
		return
	}
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		return
	}
	defer c.Close()
	// The protocol has no answer, and a manager that is gone needs none.
	_, _ = c.Write([]byte(strings.Join(lines, "\n")))
}
