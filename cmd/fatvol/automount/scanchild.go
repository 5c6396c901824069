package automount

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"
)

// A medium is searched by a child process: a call that a dying stick never answers cannot be ended, and
// would keep the helper itself from ending.

// searchRequest is what the child is asked, on its standard input.
type searchRequest struct {
	Dir    string `json:"dir"`
	Images Images `json:"images"`
	Nanos  int64  `json:"nanoseconds"` // images.time, which has no form in JSON of its own
}

// maxRequest bounds a request.
const maxRequest = 1 << 20

// ServeSearch is the child: it reads a request and writes a Search.
func ServeSearch(ctx context.Context, in io.Reader, out io.Writer) error {
	var r searchRequest
	if err := json.NewDecoder(io.LimitReader(in, maxRequest)).Decode(&r); err != nil {
		return fmt.Errorf("request: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(r.Nanos))
	defer cancel()
	s, err := search(ctx, r.Dir, r.Images)
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(s)
}

// searchGrace is what the child may take beyond the time for the search.
const searchGrace = 5 * time.Second

// searchIn runs a child, the given command, and does not wait for one that hangs.
func searchIn(ctx context.Context, command []string, dir string, cfg Images) (*Search, error) {
	request, err := json.Marshal(searchRequest{dir, cfg, int64(cfg.Time)})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(cfg.Time)+searchGrace)
	defer cancel()
	out, said, err := runChild(ctx, command, nil, request)
	if err != nil {
		if ctx.Err() != nil {
			return nil, fmt.Errorf("the search of %s did not end: does the medium answer?", dir)
		}
		if said != "" {
			err = errors.New(said)
		}
		return nil, err
	}
	s := &Search{}
	if err := json.Unmarshal(out, s); err != nil {
		return nil, fmt.Errorf("search of %s: %w", dir, err)
	}
	return s, nil
}

// runChild runs a program and returns what it wrote, and what it complained of in one line. When ctx ends,
// the child is killed, and is not waited for: it may be held by the kernel.
func runChild(ctx context.Context, command, env []string, in []byte) (out []byte, said string, err error) {
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Dir, cmd.Env = "/", env
	cmd.Stdin = bytes.NewReader(in)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	// Something that the child leaves behind may have its pipes.
	cmd.WaitDelay = time.Second
	if err := cmd.Start(); err != nil {
		return nil, "", err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err = <-ended:
		if errors.Is(err, exec.ErrWaitDelay) {
			err = nil
		}
		return stdout.Bytes(), oneLine(stderr.String()), err
	case <-ctx.Done():
		_ = cmd.Process.Kill()
		return nil, "", ctx.Err()
	}
}

// Run runs a program with an environment, or its own if that is nil, and returns what it complained of in one
// line. A program that fails has its exit status in err.
func Run(ctx context.Context, command, env []string) (said string, err error) {
	_, said, err = runChild(ctx, command, env, nil)
	return said, err
}

// oneLine is what a command said, without its name.
func oneLine(text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		if line = strings.TrimPrefix(strings.TrimSpace(line), "fatvol: "); line != "" {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "; ")
}
