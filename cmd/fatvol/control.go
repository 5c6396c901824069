package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"fatvol/watch"
)

// mountStatus is what a mount tells about itself on its control socket; it is also the JSON form of
// `fatvol status`. Names and meanings stay; fields may be added.
type mountStatus struct {
	Image      string            `json:"image"`
	Dir        string            `json:"dir"`
	Offset     int64             `json:"offset"` // of the volume in the image, in bytes
	PID        int               `json:"pid"`
	State      string            `json:"state"`   // present, gone, verifying, closed
	Reason     string            `json:"reason"`  // why it is not present; "" when it is
	Moved      string            `json:"moved"`   // where the image is, if it was renamed since; otherwise ""
	Since      time.Time         `json:"since"`   // of the state
	Refused    string            `json:"refused"` // what was last at the path and was not taken: other, changed; otherwise ""
	RefusedAt  time.Time         `json:"refused_at"`
	Serial     string            `json:"serial"`     // of the volume
	Generation uint64            `json:"generation"` // counts how often the medium has been there
	ReadOnly   bool              `json:"read_only"`
	HostRO     bool              `json:"host_read_only"` // the medium takes no writes
	Repair     string            `json:"repair"`         // of a volume that was not unmounted: running, done, damage, failed; otherwise ""
	Unsynced   int64             `json:"unsynced_bytes"` // written and not known to be on the medium
	Files      int               `json:"unsynced_files"`
	Names      bool              `json:"unsynced_names"` // names, sizes or times were changed in memory only
	Calls      int64             `json:"host_calls"`
	Errors     int64             `json:"host_errors"`
	Looks      int64             `json:"looks"`           // attempts to open the image again
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
	done    chan struct{} // closed by close
	lacks   lacking
}

const (
	// controlTime bounds a conversation on the socket, on either side.
	controlTime = 5 * time.Second
	// countTime bounds the wait for what only the volume knows.
	countTime = 200 * time.Millisecond
	// acceptPause is the wait after a failure to accept, as for want of descriptors.
	acceptPause = time.Second
)

func listenControl(s *served) (*control, error) {
	path := controlPath(s.record.path)
	name, release, err := socketName(path)
	if err != nil {
		return nil, err
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: name, Net: "unix"})
	release()
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false) // the name may be one of release's; close knows the right one
	c := &control{l: l, path: path, started: time.Now(), done: make(chan struct{})}
	if err := os.Chmod(path, 0o600); err != nil {
		c.close()
		return nil, err
	}
	go c.serve(s)
	return c, nil
}

func (c *control) close() {
	close(c.done)
	c.l.Close()
	os.Remove(c.path)
}

func (c *control) serve(s *served) {
	for {
		conn, err := c.l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			s.log.Error("control socket", "err", err)
			select {
			case <-c.done:
				return
			case <-time.After(acceptPause):
				continue
			}
		}
		go func() {
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(controlTime))
			// Who asked may be gone; that is all that can be wrong.
			_ = json.NewEncoder(conn).Encode(c.status(s))
		}()
	}
}

// status asks nobody but the process itself, and waits for nobody: it works whatever the medium does.
func (c *control) status(s *served) mountStatus {
	st := s.mediumStatus()
	n := s.medium.gate.Counters()
	lacks := c.lacks.ask(func() lack { return lack{len(s.unsavedFiles()), s.volume.Pending()} })
	refused := s.medium.refused.Load()
	if refused == nil || st.State == watch.Present {
		refused = &refusal{}
	}
	return mountStatus{
		Refused: refused.what, RefusedAt: refused.at, Serial: serialText(s.serial),
		Image: s.req.image, Dir: s.req.dir, Offset: s.image.Partition.Start, PID: os.Getpid(),
		State: st.State.String(), Reason: st.Reason, Since: st.Since, Generation: st.Generation, Moved: st.Moved,
		ReadOnly: s.volume.ReadOnly(), HostRO: st.ReadOnly, Repair: s.volume.Repair().String(),
		Unsynced: s.medium.log.Spans().Bytes(), Files: lacks.files, Names: lacks.names,
		Calls: n.Calls, Errors: n.Errors, Looks: n.Looks, Abandoned: n.Stuck,
		Detectors: s.medium.gate.Detectors(), Started: c.started,
	}
}

// A lack is what only the volume knows to be missing on the medium.
type lack struct {
	files int  // with unsynced contents
	names bool // some changes are in memory only
}

// lacking is the lack now, or as it last could be told: to look takes locks of the volume, which a call
// that hangs may hold until its deadline.
type lacking struct {
	mu      sync.Mutex
	last    lack
	running chan struct{} // closed when the look under way ends; nil when there is none
}

func (f *lacking) ask(now func() lack) lack {
	f.mu.Lock()
	if f.running == nil {
		done := make(chan struct{})
		f.running = done
		go func() {
			n := now()
			f.mu.Lock()
			f.last, f.running = n, nil
			f.mu.Unlock()
			close(done)
		}()
	}
	done := f.running
	f.mu.Unlock()
	select {
	case <-done:
	case <-time.After(countTime):
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.last
}

// askStatus asks a mount about itself.
func askStatus(record *recordView) (*mountStatus, error) {
	name, release, err := socketName(controlPath(record.f.Name()))
	if err != nil {
		return nil, err
	}
	conn, err := net.DialTimeout("unix", name, controlTime)
	release()
	if err != nil {
		return nil, fmt.Errorf("its serving process does not listen: %w", err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(controlTime))
	st := &mountStatus{}
	if err := json.NewDecoder(conn).Decode(st); err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	return st, nil
}
