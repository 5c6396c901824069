package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
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
	return strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
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

// Paths in images are completed as those of the host are, without changing what was typed.
func TestCompletePlaces(t *testing.T) {
	t.Chdir(t.TempDir())
	tree := map[string]string{"tree/sub/deep.txt": "x", "tree/Readme.txt": "x", "tree/a b.txt": "x", "tree/.hidden": "x"}
	for name, text := range tree {
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o777), os.WriteFile(name, []byte(text), 0o666)); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{
		{"create", "disk.img", "--size", "4M", "--from", "tree", "--quiet"},
		{"create", "parts.bin", "--size", "8M", "--partition", "gpt", "--from", "tree", "--quiet"},
	} {
		root := rootCommand()
		root.SetOut(io.Discard)
		root.SetArgs(args)
		if err := root.Execute(); err != nil {
			t.Fatal(err)
		}
	}
	const (
		anyFile = ":0"
		done    = ":4"
		goesOn  = ":6"
	)
	for _, tc := range []struct {
		words []string
		want  []string
	}{
		{[]string{"ls", "di"}, []string{"disk.img:/", goesOn}},
		{[]string{"ls", "t"}, []string{"tree/", goesOn}},
		{[]string{"ls", "./p"}, []string{"./parts.bin:/", goesOn}},
		{[]string{"cat", "disk.img:/r"}, []string{"disk.img:/Readme.txt", done}},
		{[]string{"cat", "disk.img:/a"}, []string{"disk.img:/a b.txt", done}},
		{[]string{"cat", "disk.img:/s"}, []string{"disk.img:/sub/", goesOn}},
		{[]string{"cat", "disk.img:/sub/"}, []string{"disk.img:/sub/deep.txt", done}},
		{[]string{"cat", "disk.img:/none/"}, []string{done}},
		{[]string{"cat", "disk.img:/."}, []string{"disk.img:/.hidden", done}},
		{[]string{"rm", "disk.img:/", "disk.img:/R"}, []string{"disk.img:/Readme.txt", done}},
		{[]string{"ls", "parts.bin:"}, []string{"parts.bin:1:/", "parts.bin:/", goesOn}},
		{[]string{"ls", "parts.bin:1:/s"}, []string{"parts.bin:1:/sub/", goesOn}},
		{[]string{"info", "parts.bin:"}, []string{"parts.bin:1", done}},
		{[]string{"info", "par"}, []string{anyFile}},
		{[]string{"resize", "parts.bin:"}, []string{"parts.bin:1", done}},
		{[]string{"cp", "tree/R"}, []string{anyFile}},
		{[]string{"cp", "disk.img"}, []string{"disk.img", "disk.img:/", goesOn}},
		{[]string{"cp", "tree/Readme.txt", "disk.img:/s"}, []string{"disk.img:/sub/", goesOn}},
		{[]string{"attr", "+r", "disk.img:/R"}, []string{"disk.img:/Readme.txt", done}},
	} {
		if got := complete(t, tc.words...); !slices.Equal(got, tc.want) {
			t.Errorf("%q: %q, want %q", tc.words, got, tc.want)
		}
	}
}
