package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strings"
)

// maxRequest bounds a request on the control socket, in bytes.
const maxRequest = 8 << 10

// answerHTTP reads one HTTP request and answers it: GET /metrics is the mount's state and counters for
// Prometheus, GET /status what `fatvol status --json` prints. The connection is closed then, whatever the
// other side would like. This is all of HTTP (RFC 9112) that it takes; net/http would bring TLS and much else
// into every process that serves a mount.
func answerHTTP(conn net.Conn, status func() *mountStatus) {
	method, target, code := readRequest(bufio.NewReader(io.LimitReader(conn, maxRequest)))
	kind, body := "text/plain; charset=utf-8", new(bytes.Buffer)
	path, _, _ := strings.Cut(target, "?")
	switch {
	case code != "":
		fmt.Fprintln(body, code)
	case path != "/metrics" && path != "/status":
		code = "404 Not Found"
		fmt.Fprintln(body, "there are GET /metrics and GET /status")
	case method != "GET" && method != "HEAD":
		code = "405 Method Not Allowed\r\nAllow: GET, HEAD"
		fmt.Fprintln(body, "only GET and HEAD are allowed")
	case path == "/metrics":
		code, kind = "200 OK", metricsType
		_ = writeMetrics(body, []*mountStatus{status()}) // memory takes everything
	default:
		code, kind = "200 OK", "application/json"
		_ = json.NewEncoder(body).Encode(status())
	}
	head := fmt.Sprintf("HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n", code, kind, body.Len())
	if method == "HEAD" {
		body.Reset()
	}
	// Who asked may be gone; that is all that can be wrong.
	_, _ = io.WriteString(conn, head+body.String())
}

// readRequest reads a request up to the end of its header. problem is the status of the answer where it is
// none that can be answered.
func readRequest(r *bufio.Reader) (method, target, problem string) {
	const bad = "400 Bad Request"
	line, err := r.ReadString('\n')
	fields := strings.Fields(line)
	if err != nil || len(fields) != 3 || !strings.HasPrefix(fields[2], "HTTP/1.") {
		return "", "", bad
	}
	method, target = fields[0], fields[1]
	if i := strings.Index(target, "://"); i > 0 { // as proxies are asked
		_, target, _ = strings.Cut(target[i+3:], "/")
		target = "/" + target
	}
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return "", "", bad
		}
		if strings.TrimRight(line, "\r\n") == "" {
			return method, target, ""
		}
	}
}
