package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"
)

// mountStatus is what a mount tells about itself on its control socket; it is also the JSON form of
// `fatvol status`. Names and meanings stay; fields may be added.
type mountStatus struct {
	Image      string            `json:"image"`
	Dir        string            `json:"dir"`
	PID        int               `json:"pid"`
	State      string            `json:"state"`      // present, gone, verifying, closed
	Reason     string            `json:"reason"`     // why it is not present; "" when it is
	Since      time.Time         `json:"since"`      // of the state
	Generation uint64            `json:"generation"` // counts how often the medium has been there
	ReadOnly   bool              `json:"read_only"`
	HostRO     bool              `json:"host_read_only"` // the medium takes no writes
	Unsynced   int64             `json:"unsynced_bytes"` // written and not known to be on the medium
	Files      int               `json:"unsynced_files"`
	Calls      int64             `json:"host_calls"`
	Errors     int64             `json:"host_errors"`
	Abandoned  int64             `json:"abandoned_calls"` // calls of the host that were given up on and have not ended
	Detectors  map[string]string `json:"detectors"`       // by name: "" for one that works, otherwise why not
	Started    time.Time         `json:"started"`
}

// controlPath is where the mount with the record at path listens.
func controlPath(record string) string { return strings.TrimSuffix(record, ".json") + ".sock" }

// A control answers questions about a mount on a socket that only its user and root can reach: it lies
// in a directory that is the user's alone.
type control struct {
	l       net.Listener
	path    string
	started time.Time
}

// controlTime bounds a conversation on the socket, on either side.
const controlTime = 5 * time.Second

func listenControl(s *served) (*control, error) {
	path := controlPath(s.record.path)
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	c := &control{l, path, time.Now()}
	if err := os.Chmod(path, 0o600); err != nil {
		c.close()
		return nil, err
	}
	go c.serve(s)
	return c, nil
}

func (c *control) close() {
	c.l.Close()
	os.Remove(c.path)
}

func (c *control) serve(s *served) {
	for {
		conn, err := c.l.Accept()
		if err != nil {
			if !errors.Is(err, net.ErrClosed) {
				s.log.Error("control socket", "err", err)
			}
			return
		}
		go func() {
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(controlTime))
			// Who asked may be gone; that is all that can be wrong.
			_ = json.NewEncoder(conn).Encode(s.status(c.started))
		}()
	}
}

// status asks nobody but the process itself: it works whatever the medium does.
func (s *served) status(started time.Time) mountStatus {
	st := s.medium.gate.Status()
	n := s.medium.gate.Counters()
	return mountStatus{
		Image: s.req.image, Dir: s.req.dir, PID: os.Getpid(),
		State: st.State.String(), Reason: st.Reason, Since: st.Since, Generation: st.Generation,
		ReadOnly: s.volume.ReadOnly(), HostRO: st.ReadOnly,
		Unsynced: s.medium.log.Unsynced(), Files: len(s.unsavedFiles()),
		Calls: n.Calls, Errors: n.Errors, Abandoned: n.Stuck,
		Detectors: s.medium.gate.Detectors(), Started: started,
	}
}

// askStatus asks a mount about itself.
func askStatus(record *recordView) (*mountStatus, error) {
	conn, err := net.DialTimeout("unix", controlPath(record.f.Name()), controlTime)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(controlTime))
	st := &mountStatus{}
	if err := json.NewDecoder(conn).Decode(st); err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	return st, nil
}
