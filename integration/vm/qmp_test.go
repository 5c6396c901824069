//go:build linux

package vm

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// monitorPatience bounds a command of the monitor, which answers even while the guest is busy.
const monitorPatience = 20 * time.Second

// monitor speaks QMP, the protocol of QEMU's monitor: JSON values, one after the other, each of them
// the answer to the command before or an event.
type monitor struct {
	conn net.Conn
	in   *json.Decoder

	mu struct {
		sync.Mutex
		answers chan qmpMessage // the answer to the command on its way
		events  []qmpMessage
		changed chan struct{} // closed, and replaced, when an event arrives
		err     error         // why the monitor is dead
	}
}

type qmpMessage struct {
	QMP    json.RawMessage `json:"QMP"`
	Return json.RawMessage `json:"return"`
	Error  *struct {
		Class string `json:"class"`
		Desc  string `json:"desc"`
	} `json:"error"`
	Event string `json:"event"`
	Data  struct {
		Device string `json:"device"`
	} `json:"data"`
}

func newMonitor(conn net.Conn) (*monitor, error) {
	m := &monitor{conn: conn, in: json.NewDecoder(conn)}
	m.mu.changed = make(chan struct{})
	conn.SetDeadline(time.Now().Add(monitorPatience))
	var greeting qmpMessage
	if err := m.in.Decode(&greeting); err != nil || greeting.QMP == nil {
		return nil, fmt.Errorf("QEMU's monitor does not greet: %w", err)
	}
	conn.SetDeadline(time.Time{})
	go m.follow()
	return m, m.execute("qmp_capabilities", nil, nil)
}

func (m *monitor) follow() {
	for {
		var msg qmpMessage
		err := m.in.Decode(&msg)
		m.mu.Lock()
		switch {
		case err != nil:
			m.mu.err = fmt.Errorf("QEMU's monitor: %w", err)
			if m.mu.answers != nil {
				close(m.mu.answers)
				m.mu.answers = nil
			}
			close(m.mu.changed)
			m.mu.changed = make(chan struct{})
			m.mu.Unlock()
			return
		case msg.Event != "":
			m.mu.events = append(m.mu.events, msg)
			close(m.mu.changed)
			m.mu.changed = make(chan struct{})
		case m.mu.answers != nil:
			m.mu.answers <- msg
			m.mu.answers = nil
		}
		m.mu.Unlock()
	}
}

// execute runs a command. There is one at a time. result may be nil.
func (m *monitor) execute(command string, arguments, result any) error {
	answer := make(chan qmpMessage, 1)
	m.mu.Lock()
	switch {
	case m.mu.err != nil:
		defer m.mu.Unlock()
		return m.mu.err
	case m.mu.answers != nil:
		defer m.mu.Unlock()
		return errors.New("QEMU's monitor has not answered the command before")
	}
	m.mu.answers = answer
	m.mu.Unlock()

	line, err := json.Marshal(map[string]any{"execute": command, "arguments": orEmpty(arguments)})
	if err != nil {
		return err
	}
	if _, err := m.conn.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("QEMU's monitor: %w", err)
	}
	select {
	case msg, ok := <-answer:
		switch {
		case !ok:
			return fmt.Errorf("QEMU ended during %s", line)
		case msg.Error != nil:
			return fmt.Errorf("QEMU: %s: %s: %s", line, msg.Error.Class, msg.Error.Desc)
		case result != nil:
			return json.Unmarshal(msg.Return, result)
		}
		return nil
	case <-time.After(monitorPatience):
		return fmt.Errorf("QEMU did not answer %s within %v", line, monitorPatience)
	}
}

func orEmpty(arguments any) any {
	if arguments == nil {
		return struct{}{}
	}
	return arguments
}

// eventCount is a position in the events: those that come later are new.
func (m *monitor) eventCount() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.mu.events)
}

// waitEvent waits for an event of a device among those from the position on.
func (m *monitor) waitEvent(from int, event, device string) error {
	late := time.After(monitorPatience)
	for {
		m.mu.Lock()
		for _, e := range m.mu.events[from:] {
			if e.Event == event && e.Data.Device == device {
				m.mu.Unlock()
				return nil
			}
		}
		changed, err := m.mu.changed, m.mu.err
		m.mu.Unlock()
		if err != nil {
			return err
		}
		select {
		case <-changed:
		case <-late:
			return fmt.Errorf("no %s of %s within %v", event, device, monitorPatience)
		}
	}
}
