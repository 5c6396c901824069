package integration

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// commandComment is what a page says beside a command, in a column of its own.
var commandComment = regexp.MustCompile(`(?m)   +\S.*$|^   +\S.*$`)

// pageCommands returns the commands of a page, which are indented; one that ends with && goes on in the
// next line. What a terminal shows, with its prompt, is none.
func pageCommands(t *testing.T, page string) (commands []string) {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	shown := false // the block is what a terminal shows
	for _, block := range strings.Split(string(text), "\n\n") {
		for line := range strings.Lines(block) {
			line, indented := strings.CutPrefix(strings.TrimRight(line, "\n"), "    ")
			if !indented {
				break
			}
			shown = shown || strings.HasPrefix(line, "$ ")
			last := len(commands) - 1
			switch {
			case shown:
			case last >= 0 && strings.HasSuffix(commands[last], "&&"):
				commands[last] += " " + strings.TrimSpace(line)
			case strings.HasPrefix(line, "   "): // a remark goes on
			default:
				commands = append(commands, commandComment.ReplaceAllString(line, ""))
			}
		}
		shown = false
	}
	return commands
}

// TestPages carries out the commands of pages as they are written, in a directory that has what they speak of.
func TestPages(t *testing.T) {
	needFUSE(t)
	need(t, "mkfs.fat", "mmd", "mcopy", "sfdisk", "make", "curl", "jq", "tar")
	for _, p := range []struct {
		page     string
		commands int
		scene    string // makes what the page speaks of
		after    string // checks what is true then
	}{
		{"files.md", 11, `
			for i in card old new; do mkfs.fat -C $i.img 8192 >/dev/null; done
			mkdir logs cache photos src
			for f in config.txt a.txt boot.ini logs/1.txt logs/2.txt logs/3.dat cache/x photos/a.jpg src/main.c; do echo "$f" >$f; done
			mcopy -i card.img -s config.txt a.txt boot.ini logs cache ::
			mcopy -i old.img -s photos ::/before
			rm -r logs`, `
			cmp 1.txt - <<-X
				logs/1.txt
			X
			test ! -e 3.dat
			test "$(mtype -i card.img ::/backup/a.jpg)" = photos/a.jpg
			test "$(mtype -i new.img ::/before/a.jpg)" = photos/a.jpg
			mtype -i card.img ::/src.tar | tar t | grep -q src/main.c
			test "$(mtype -i card.img ::/b.txt)" = a.txt
			! mdir -i card.img ::/cache ::/a.txt
			mdir -i card.img ::/EFI | grep -q BOOT
			mdir -i card.img | grep -q 'Volume in drive : is BOOT'
			mattrib -i card.img ::/boot.ini | grep -q '^ *H *::/boot.ini'
			for i in card old new; do fsck.fat -n $i.img; done`},
		{"exec.md", 3, `
			truncate -s 24M disk.img
			printf 'label: gpt\n2048,8192,L\n10240,32768,U\n' | sfdisk -q disk.img
			mkfs.fat --offset 10240 disk.img 16384 >/dev/null
			mmd -i disk.img@@5242880 ::/EFI
			mkfs.fat -C card.img 8192 >/dev/null
			mkdir firmware
			printf 'install:\n\techo firmware >$(DESTDIR)/firmware.bin\n' >firmware/Makefile`, `
			test -d saved
			test "$(mtype -i card.img ::/firmware.bin)" = firmware`},
		{"status.md", 7, `
			mkfs.fat -C card.img 8192 >/dev/null
			mkdir mnt node_exporter
			fatvol mount card.img mnt
			trap 'fatvol umount mnt >/dev/null' EXIT`, `
			grep -q '^fatvol_' node_exporter/fatvol.prom`},
	} {
		t.Run(p.page, func(t *testing.T) {
			commands := pageCommands(t, "../docs/"+p.page)
			if len(commands) != p.commands {
				t.Errorf("%d commands, want %d:\n%s", len(commands), p.commands, strings.Join(commands, "\n"))
			}
			dir := t.TempDir()
			script := p.scene
			for _, c := range commands {
				// Where the page has places of the system, the scene has its own; and what goes on until it is
				// interrupted is.
				c = strings.NewReplacer("/mnt", dir+"/mnt", "/var/lib/node_exporter", dir+"/node_exporter",
					"fatvol status --watch", "timeout -s INT --preserve-status 1 fatvol status --watch").Replace(c)
				script += "\n" + c
			}
			cmd := exec.Command("timeout", "120", "bash", "-euxo", "pipefail", "-c", script+"\n"+p.after)
			cmd.Dir = dir
			cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(binary(t))+":"+os.Getenv("PATH")+":/usr/sbin:/sbin")
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}
