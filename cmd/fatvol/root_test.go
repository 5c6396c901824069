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

// TestHelpForms: what the help shows can be typed so. Flags of commands that take everything behind their image for
// arguments stand before it, and a value that may be left out is no word of its own.
func TestHelpForms(t *testing.T) {
	for args, want := range map[string]string{
		"resize --help": "  fatvol resize [flags] IMAGE[:PART] SIZE\n",
		"exec --help":   "  fatvol exec [flags] IMAGE -- COMMAND [ARGUMENT...]\n",
		"mount --help":  "  fatvol mount IMAGE DIR [flags]\n",
		"info --help":   "      --map[=file]               draw a map",
	} {
		var out bytes.Buffer
		root := rootCommand()
		root.SetOut(&out)
		root.SetArgs(strings.Fields(args))
		if err := root.Execute(); err != nil || !strings.Contains(out.String(), want) {
			t.Errorf("%s: error %v, no %q in:\n%s", args, err, want, out.String())
		}
	}
}
