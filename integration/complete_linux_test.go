package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// shells are interactive shells, and what makes them complete the arguments of fatvol.
var shells = map[string]struct {
	command []string
	init    string
}{
	"bash": {[]string{"bash", "--norc"}, `. /usr/share/bash-completion/bash_completion; . <(fatvol completion bash)`},
	"zsh":  {[]string{"zsh", "-f"}, `autoload -U compinit; compinit -u -D; . <(fatvol completion zsh)`},
	"fish": {[]string{"fish", "--no-config"}, `fatvol completion fish | source`},
}

// What is typed, a tab, and return: the command that comes of it is run, and says the right thing.
func TestCompletionInShells(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	tree := filepath.Join(dir, "tree")
	if err := os.MkdirAll(filepath.Join(tree, "photos"), 0o777); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"readme.txt": "the readme", "a b.txt": "a blank", "c$d.txt": "a dollar", "photos/one.jpg": "a photo",
	} {
		if err := os.WriteFile(filepath.Join(tree, name), []byte(text+"\n"), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	image, mounted := filepath.Join(dir, "disk.img"), filepath.Join(dir, "mounted.img")
	for _, path := range []string{image, mounted} {
		run(t, binary(t), "create", path, "--size", "8M", "--from", tree)
	}
	run(t, binary(t), "create", filepath.Join(dir, "parts.bin"), "--size", "8M", "--partition", "mbr", "--from", tree)
	mnt := mountImage(t, mounted)

	for name, shell := range shells {
		t.Run(name, func(t *testing.T) {
			need(t, name)
			term := newTerminal(t, 150, 40, append([]string{"env", "-C", dir, "-u", "BASH_ENV",
				"HOME=" + t.TempDir(), "PATH=" + filepath.Dir(binary(t)) + ":" + os.Getenv("PATH")}, shell.command...)...)
			term.write(shell.init + "; echo rea''dy")
			term.press("Enter")
			term.await("ready")
			for _, tc := range []struct{ typed, completed, says string }{
				{"fatvol cat disk.img:/re", "disk.img:/readme.txt", "the readme"},
				{"fatvol cat " + image + ":/re", image + ":/readme.txt", "the readme"},
				{"fatvol cat disk.img:/a", `disk.img:/a\ b.txt`, "a blank"},
				{"fatvol cat disk.img:/c", `disk.img:/c\$d.txt`, "a dollar"},
				{"fatvol cat disk.img:/photos/", "disk.img:/photos/one.jpg", "a photo"},
				{"fatvol cat parts.bin:1:/re", "parts.bin:1:/readme.txt", "the readme"},
				{"fatvol cat mounted.img:/re", "mounted.img:/readme.txt", "the readme"},
				{"fatvol ls di", "disk.img:/", "c$d.txt"},
				{"fatvol inf", "info", "IMAGE[:PART] needed"},
				{"fatvol status " + mnt[:len(mnt)-1], mnt, "present"},
			} {
				term.press("C-l")
				term.write(tc.typed)
				term.press("Tab")
				term.await(tc.completed)
				term.press("Enter")
				screen := term.await(tc.says)
				if strings.Contains(screen, "no such") {
					t.Errorf("%q:\n%s", tc.typed, screen)
				}
				term.tmux("clear-history")
				term.write("clear")
				term.press("Enter")
			}
			// Where there is a choice, all of it is shown.
			term.press("C-l")
			term.write("fatvol ls disk.img:/")
			term.press("Tab", "Tab")
			term.await("a b.txt", "c$d.txt", "photos/", "readme.txt")
		})
	}
}
