package main

import (
	"bytes"
	"strings"
	"testing"
)

// TestRootWords: what people type first without having read anything.
func TestRootWords(t *testing.T) {
	for _, tc := range []struct {
		args string
		out  string // what is printed begins so
		err  string // and the error
	}{
		{"version", versionLine(), ""},
		{"--version", versionLine(), ""},
		{"-v", versionLine(), ""},
		{"help", "fatvol mounts", ""},
		{"help mount", "Mounts the FAT volume", ""},
		{"help moutn", "", `unknown command "moutn": did you mean mount`},
		{"moutn", "", `unknown command "moutn": did you mean mount`},
		{"--moutn", "", "unknown flag: --moutn: see 'fatvol --help'"},
		{"mount --moutn", "", "mount: unknown flag: --moutn: see 'fatvol mount --help'"},
	} {
		var out bytes.Buffer
		root := rootCommand()
		root.SetOut(&out)
		root.SetErr(&out)
		root.SetArgs(strings.Fields(tc.args))
		err := root.Execute()
		said := ""
		if err != nil {
			said = err.Error()
		}
		if !strings.HasPrefix(out.String(), tc.out) || (out.Len() > 0) != (tc.out != "") || !strings.HasPrefix(said, tc.err) || (said == "") != (tc.err == "") {
			t.Errorf("%q: %q, error %q", tc.args, out.String(), said)
		}
	}
}
