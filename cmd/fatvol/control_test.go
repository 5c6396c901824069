package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// testControl listens for a mount that says little.
func testControl(t *testing.T) *control {
	t.Helper()
	c, err := listenControl(filepath.Join(t.TempDir(), "c.sock"), slog.New(slog.DiscardHandler), func() *mountStatus {
		return &mountStatus{Dir: "/mnt", State: "present", History: []mountChange{}}
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.close)
	return c
}

func (c *control) dial(t *testing.T) *net.UnixConn {
	t.Helper()
	conn, err := net.Dial("unix", c.path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn.(*net.UnixConn)
}

// readStatus reads the answer to somebody who says nothing.
func readStatus(t *testing.T, conn net.Conn) {
	t.Helper()
	st := &mountStatus{}
	if err := json.NewDecoder(conn).Decode(st); err != nil || st.Dir != "/mnt" {
		t.Errorf("%v: %+v", err, st)
	}
}

// Who says nothing gets the status, whether he closes his side or waits.
func TestControlSilentClients(t *testing.T) {
	c := testControl(t)
	waits, closes := c.dial(t), c.dial(t)
	if err := closes.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	readStatus(t, closes)
	readStatus(t, waits)
}

func TestControlHTTP(t *testing.T) {
	c := testControl(t)
	client := &http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		return net.Dial("unix", c.path)
	}}}
	for _, tc := range []struct {
		method, path string
		code         int
		kind, has    string
	}{
		{"GET", "/metrics", 200, metricsType, `fatvol_mount_up{mountpoint="/mnt"} 1`},
		{"HEAD", "/metrics", 200, metricsType, ""},
		{"GET", "/status", 200, "application/json", `"dir":"/mnt"`},
		{"GET", "/", 404, "text/plain", "GET /metrics"},
		{"GET", "/metrics?x=1", 200, metricsType, "fatvol_mount_up"},
		{"POST", "/metrics", 405, "text/plain", "only GET"},
	} {
		req, err := http.NewRequest(tc.method, "http://fatvol"+tc.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatalf("%s %s: %v", tc.method, tc.path, err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		kind := resp.Header.Get("Content-Type")
		if resp.StatusCode != tc.code || !strings.HasPrefix(kind, tc.kind) || !strings.Contains(string(body), tc.has) {
			t.Errorf("%s %s: %s, %s: %s", tc.method, tc.path, resp.Status, kind, body)
		}
	}
}

// Requests that are none, too large, or come byte by byte, end; and nobody else notices.
func TestControlHostileClients(t *testing.T) {
	c := testControl(t)
	for name, text := range map[string]string{
		"no HTTP":    "\x00\x01\x02 what\r\n\r\n",
		"long":       "GET /" + strings.Repeat("x", 1<<20),
		"unfinished": "GET /metrics HTTP/1.1\r\n",
	} {
		conn := c.dial(t)
		var sent sync.WaitGroup
		sent.Go(func() {
			_, _ = conn.Write([]byte(text)) // the server may have closed
			_ = conn.CloseWrite()
		})
		_ = conn.SetReadDeadline(time.Now().Add(4 * controlTime))
		answer, err := bufio.NewReader(conn).ReadString('\n')
		if err == nil && !strings.Contains(answer, " 4") {
			t.Errorf("%s: %q", name, answer)
		}
		if e, ok := err.(net.Error); ok && e.Timeout() {
			t.Errorf("%s: %v", name, err)
		}
		conn.Close()
		sent.Wait()
	}
	conn := c.dial(t)
	_ = conn.CloseWrite()
	readStatus(t, conn)
}

// However many clients there are and say nothing, or half of something, others get their turn.
func TestControlManyClients(t *testing.T) {
	c := testControl(t)
	for i := range maxClients + 8 {
		conn := c.dial(t)
		if i%2 == 0 {
			_, _ = conn.Write([]byte("GET /me"))
		}
	}
	conn := c.dial(t)
	_ = conn.CloseWrite()
	_ = conn.SetReadDeadline(time.Now().Add(4 * controlTime))
	readStatus(t, conn)
	if n := len(c.clients); n > maxClients {
		t.Errorf("%d clients at a time", n)
	}
}
