package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"fatvol/image/fat/fattest"
)

// FuzzReply has the mount of somebody else answer anything. What is shown of it neither moves a terminal's
// cursor nor confuses Prometheus.
func FuzzReply(f *testing.F) {
	whole, err := json.Marshal(viewedMount("/mnt", 3))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add([]byte(`{"dir":"/m\u001b[2Jnt","image":"a\nb","state":"gone","reason":"\r","detectors":{"\u0007":"x\ty"},"history":[{"state":"\u001b"}]}`))
	f.Add([]byte(`{"since":"9999-12-31T23:59:59Z","unsynced_bytes":-1,"unsynced_limit":1,"history":null}`))
	f.Fuzz(func(t *testing.T, reply []byte) {
		st, err := readReply(bytes.NewReader(reply))
		if err != nil {
			return
		}
		all := []*mountStatus{st}
		var out bytes.Buffer
		if err := showStatus(&out, all); err != nil {
			t.Fatal(err)
		}
		v := &statusView{}
		v.learn(&statusNews{at: viewTime, all: all})
		out.WriteString(viewText(t, v, 80, 24))
		for _, r := range out.String() {
			if r != '\n' && unicode.IsControl(r) {
				t.Fatalf("%q is shown:\n%q", r, out.String())
			}
		}
		out.Reset()
		if err := writeMetrics(&out, all); err != nil {
			t.Fatal(err)
		}
		parseMetrics(t, out.Bytes())
		if err := encodeStatus(&out, all); err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
	})
}

// A scriptedConn has received what in holds, and keeps what is sent.
type scriptedConn struct {
	net.Conn
	in  io.Reader
	out bytes.Buffer
}

func (c *scriptedConn) Read(p []byte) (int, error)  { return c.in.Read(p) }
func (c *scriptedConn) Write(p []byte) (int, error) { return c.out.Write(p) }

// FuzzRequest sends anything to the control socket as HTTP. The answer has a status, and the length that it says.
func FuzzRequest(f *testing.F) {
	f.Add("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
	f.Add("HEAD http://x/status?a HTTP/1.0\n\n")
	f.Add("GET  HTTP/1.1\r\n\r\n")
	f.Fuzz(func(t *testing.T, request string) {
		c := &scriptedConn{in: strings.NewReader(request)}
		answerHTTP(c, func() *mountStatus { return viewedMount("/mnt", 1) })
		head, _, ok := strings.Cut(c.out.String(), "\r\n\r\n")
		if !ok || !strings.HasPrefix(head, "HTTP/1.1 ") {
			t.Errorf("the answer is %q", c.out.String())
		}
	})
}

// FuzzRecord reads anything as the record of a mount.
func FuzzRecord(f *testing.F) {
	f.Add([]byte(`{"pid":1,"image":"/a","dir":"/b","started":"2026-01-02T03:04:05Z"}` + "\n" + `{"device":"0:53"}` + "\n" + `{"code":32,"error":"x","kept":"/y"}` + "\n"))
	f.Add([]byte("{}\npanic: x\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		path := filepath.Join(t.TempDir(), "mount-1.json")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		fattest.Contained(t, 16<<20, func() { readHostileRecord(t, path) })
	})
}

func readHostileRecord(t *testing.T, path string) {
	v, err := openRecord(path)
	if err != nil {
		return
	}
	defer v.close()
	if v.alive() {
		t.Error("a record that nobody holds belongs to a living process")
	}
	_, lastWords, ok := v.end()
	if ok && lastWords != "" {
		t.Errorf("it ended in good order, with the last words %q", lastWords)
	}
}
