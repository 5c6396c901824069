package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime"
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
	Losses     int64             `json:"losses"`          // times that the medium went
	Abandoned  int64             `json:"abandoned_calls"` // calls of the host that were given up on and have not ended
	Detectors  map[string]string `json:"detectors"`       // by name: "" for one that works, otherwise why not
	Started    time.Time         `json:"started"`
	Socket     string            `json:"socket"`         // where the mount answers HTTP requests too
	Version    string            `json:"version"`        // of the serving process
	Goroutines int               `json:"goroutines"`     // likewise
	Limit      int64             `json:"unsynced_limit"` // bytes that may be unsynced before writers wait
	Reads      int64             `json:"reads"`          // requests of the kernel, by what they did
	ReadBytes  int64             `json:"read_bytes"`
	Writes     int64             `json:"writes"`
	Written    int64             `json:"written_bytes"`
	Failed     int64             `json:"failed_requests"` // answered with EIO
	History    []mountChange     `json:"history"`         // the newest changes of the medium, the oldest first
}

// A mountChange is an entry of a mount's history: what the medium became.
type mountChange struct {
	At         time.Time `json:"at"`
	State      string    `json:"state"`
	Reason     string    `json:"reason"`
	Generation uint64    `json:"generation"`
	HostRO     bool      `json:"host_read_only"`
	Moved      string    `json:"moved"`
	Attempts   int       `json:"attempts"` // verifications that ended so; 0 where the medium was lost
}

// controlPath is where the mount with the record at path listens.
func controlPath(record string) string { return strings.TrimSuffix(record, ".json") + ".sock" }

// A control answers questions about a mount on a socket that only its user and root can reach: it lies
// in a directory that is the user's alone. Who says nothing, and closes his side or waits, gets the status
// as JSON. Who sends an HTTP request gets an answer to that; see answerHTTP.
type control struct {
	l       net.Listener
	path    string
	log     *slog.Logger
	status  func() *mountStatus
	clients chan struct{} // has a token for each connection
	done    chan struct{} // closed by close
}

const (
	// controlTime bounds a conversation on the socket, on either side.
	controlTime = 5 * time.Second
	// silence is how long a client may think about whether it says something.
	silence = time.Second
	// maxClients bounds the connections at a time, each of which costs a descriptor; others wait until
	// one of these has had its time.
	maxClients = 64
	// countTime bounds the wait for what only the volume knows.
	countTime = 200 * time.Millisecond
	// acceptPause is the wait after a failure to accept, as for want of descriptors.
	acceptPause = time.Second
)

// listenControl answers on the socket at path with what status returns.
func listenControl(path string, log *slog.Logger, status func() *mountStatus) (*control, error) {
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
	c := &control{
		l: l, path: path, log: log, status: status,
		clients: make(chan struct{}, maxClients), done: make(chan struct{}),
	}
	if err := os.Chmod(path, 0o600); err != nil {
		c.close()
		return nil, err
	}
	go c.serve()
	return c, nil
}

func (c *control) close() {
	close(c.done)
	c.l.Close()
	os.Remove(c.path)
}

func (c *control) serve() {
	for {
		select {
		case c.clients <- struct{}{}:
		case <-c.done:
			return
		}
		conn, err := c.l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			<-c.clients
			c.log.Error("control socket", "err", err)
			select {
			case <-c.done:
				return
			case <-time.After(acceptPause):
				continue
			}
		}
		go func() {
			defer func() { <-c.clients }()
			defer conn.Close()
			c.answer(conn)
		}()
	}
}

// answer has a conversation with one client.
func (c *control) answer(conn net.Conn) {
	_ = conn.SetDeadline(time.Now().Add(silence))
	var first [1]byte
	n, _ := io.ReadFull(conn, first[:])
	_ = conn.SetDeadline(time.Now().Add(controlTime))
	if n > 0 {
		answerHTTP(&startedConn{conn, first[:]}, c.status)
		return
	}
	// Who asked may be gone; that is all that can be wrong.
	_ = json.NewEncoder(conn).Encode(c.status())
}

// A startedConn is a connection of which something has been read: unread comes again.
type startedConn struct {
	net.Conn
	unread []byte
}

func (c *startedConn) Read(p []byte) (int, error) {
	if len(c.unread) > 0 {
		n := copy(p, c.unread)
		c.unread = c.unread[n:]
		return n, nil
	}
	return c.Conn.Read(p)
}

// A statusTeller knows what a mount tells about itself.
type statusTeller struct {
	*served
	started time.Time
	lacks   lacking
}

// status asks nobody but the process itself, and waits for nobody: it works whatever the medium does.
func (s *statusTeller) status() *mountStatus {
	st := s.mediumStatus()
	n := s.medium.gate.Counters()
	lacks := s.lacks.ask(func() lack { return lack{len(s.unsavedFiles()), s.volume.Pending()} })
	refused := s.medium.refused.Load()
	if refused == nil || st.State == watch.Present {
		refused = &refusal{}
	}
	t := s.server.Traffic()
	return &mountStatus{
		Refused: refused.what, RefusedAt: refused.at, Serial: serialText(s.serial),
		Image: s.req.image, Dir: s.req.dir, Offset: s.image.Partition.Start, PID: os.Getpid(),
		State: st.State.String(), Reason: st.Reason, Since: st.Since, Generation: st.Generation, Moved: st.Moved,
		ReadOnly: s.volume.ReadOnly(), HostRO: st.ReadOnly, Repair: s.volume.Repair().String(),
		Unsynced: s.medium.log.Spans().Bytes(), Limit: s.medium.log.Limit(), Files: lacks.files, Names: lacks.names,
		Calls: n.Calls, Errors: n.Errors, Looks: n.Looks, Losses: n.Losses, Abandoned: n.Stuck,
		Reads: t.Reads, ReadBytes: t.ReadBytes, Writes: t.Writes, Written: t.WrittenBytes, Failed: t.Errors,
		Detectors: s.medium.gate.Detectors(), History: s.history(), Started: s.started,
		Socket: controlPath(s.record.path), Version: versionName(), Goroutines: runtime.NumGoroutine(),
	}
}

// history is what became of the medium, in the form for others.
func (s *served) history() []mountChange {
	list := []mountChange{}
	for _, c := range s.medium.gate.History() {
		list = append(list, mountChange{
			At: c.At, State: c.State.String(), Reason: s.shortReason(c.Reason), Generation: c.Generation,
			HostRO: c.ReadOnly, Moved: c.Moved, Attempts: c.Attempts,
		})
	}
	return list
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
	// Then the other side need not wait whether we say something.
	if c, ok := conn.(*net.UnixConn); ok {
		_ = c.CloseWrite() // a server of before may have answered, and gone
	}
	return readReply(conn)
}

// maxReply bounds what is read of a mount's answer, in bytes: root asks the mounts of others, too.
const maxReply = 1 << 20

// readReply reads what a mount says of itself.
func readReply(r io.Reader) (*mountStatus, error) {
	st := &mountStatus{}
	if err := json.NewDecoder(io.LimitReader(r, maxReply)).Decode(st); err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	return st, nil
}
