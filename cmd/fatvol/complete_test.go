package main

import (
	"bytes"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// complete is what the scripts of the shells ask for: the candidates for the last of words.
func complete(t *testing.T, words ...string) []string {
	t.Helper()
	root := rootCommand()
	var out bytes.Buffer
	root.SetOut(&out)
	root.SetErr(new(bytes.Buffer))
	root.SetArgs(append([]string{"__completeNoDesc"}, words...))
	if err := root.Execute(); err != nil {
		t.Fatal(err)
	}
	return strings.Fields(out.String())
}

func TestComplete(t *testing.T) {
	const (
		anyFile   = ":0"
		noFile    = ":4"
		noSpace   = ":6"
		directory = ":16" // cobra.ShellCompDirectiveFilterDirs
	)
	for _, tc := range []struct {
		words []string
		want  []string
	}{
		{[]string{"mou"}, []string{"mount", noFile}},
		{[]string{"mount", ""}, []string{anyFile}},
		{[]string{"mount", "disk.img", ""}, []string{directory}},
		{[]string{"mount", "disk.img", "/mnt", ""}, []string{noFile}},
		{[]string{"mount", "-o", "time_o"}, []string{"time_offset=", noSpace}},
		{[]string{"mount", "-o", "ro,sho"}, []string{"ro,showexec", "ro,shortname=", noSpace}},
		{[]string{"mount", "-o", "no-such-option"}, []string{noSpace}},
		{[]string{"mount", "-o", "partition="}, []string{noSpace}},
		{[]string{"info", "-o", "codep"}, []string{"codepage=", noSpace}},
		{[]string{"replay", "ext"}, []string{"extract", noFile}},
	} {
		if got := complete(t, tc.words...); !slices.Equal(got, tc.want) {
			t.Errorf("%q: %q, want %q", tc.words, got, tc.want)
		}
	}
}

// The scripts that are installed ask the program, and a shell can read them.
func TestCompletionScripts(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish"} {
		root := rootCommand()
		var out bytes.Buffer
		root.SetOut(&out)
		root.SetArgs([]string{"completion", shell})
		if err := root.Execute(); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(out.String(), "__complete") {
			t.Errorf("%s: a script that asks nobody:\n%s", shell, &out)
		}
		if shell != "bash" {
			continue // every machine has that one
		}
		cmd := exec.Command("bash", "-n")
		cmd.Stdin = &out
		if said, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, said)
		}
	}
}
