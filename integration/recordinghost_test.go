package integration

import (
	"encoding/gob"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"fatvol/image/device"
	"fatvol/image/device/faultdev"
)

// A FUSE host that keeps a log of each write and each sync of its image that reaches it. The image is in memory;
// the process that serves it reads it from a file at its start.

const recordingVariable = "FATVOL_TEST_RECORDING_HOST" // as hostVariable

// serveRecording is the process that serves such a host. It answers "length" with the number of entries of the
// log, and writes them to a file after "save PATH".
func serveRecording() int {
	paths := filepath.SplitList(os.Getenv(recordingVariable))
	mem, err := device.ReadMem(paths[0])
	if err != nil {
		fmt.Println(err)
		return 1
	}
	rec := faultdev.NewRecorder(mem)
	server, err := mountHost(paths[1], deviceStore{rec}, &hostFaults{})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	answerCommands(func(line string) (string, error) {
		switch word, path, _ := strings.Cut(line, " "); word {
		case "length":
			return strconv.Itoa(rec.Len()), nil
		case "save":
			return "ok", writeGob(path, rec.Log())
		}
		return "", fmt.Errorf("unknown command %q", line)
	})
	_ = server.Unmount()
	return 0
}

// startRecordingHost serves an image that holds what mem does.
func startRecordingHost(t testing.TB, mem *device.Mem) *host {
	t.Helper()
	backing := filepath.Join(t.TempDir(), "before.img")
	if err := mem.WriteFile(backing); err != nil {
		t.Fatal(err)
	}
	return startHost(t, recordingVariable, backing)
}

// logLength is how many writes and syncs have reached a recording host.
func (h *host) logLength() int { h.t.Helper(); return h.ask("length") }

// log is all of them.
func (h *host) log() (log []faultdev.Entry) {
	h.t.Helper()
	path := filepath.Join(h.t.TempDir(), "log")
	h.command("save", path)
	if err := readGob(path, &log); err != nil {
		h.t.Fatal(err)
	}
	return log
}

func writeGob(path string, v any) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	err = gob.NewEncoder(f).Encode(v)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

func readGob(path string, v any) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return gob.NewDecoder(f).Decode(v)
}
