package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestReplacedKeepsPermissions: a file of the host that a command replaces keeps its permission bits, and its owner
// and group where root does it. Somebody else opens it to no group that had no access before.
func TestReplacedKeepsPermissions(t *testing.T) {
	needRoot(t)
	img := mkfsFAT(t, 4<<20)
	dir := filepath.Dir(img)
	openPath(t, img)
	if err := os.Chown(dir, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(img, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "text"), []byte("text"), 0o644); err != nil {
		t.Fatal(err)
	}
	files(t, dir, "cp", "text", img+":/text")
	for path, args := range map[string][]string{
		dir + "/new.img": {"create", "--force", "--quiet", "--size", "1M", dir + "/new.img"},
		dir + "/out":     {"cp", img + ":/text", dir + "/out"},
		dir + "/map.svg": {"info", img, "--map=" + dir + "/map.svg"},
	} {
		for _, c := range []struct {
			who                  string
			mode                 os.FileMode
			owner, group         int
			modeThen             os.FileMode
			ownerThen, groupThen int
		}{
			{"root", 0o600, 0, 0, 0o600, 0, 0},
			{"root", 0o666, 0, 0, 0o666, 0, 0},
			{"root", 0o640, nobody, 0, 0o640, nobody, 0},
			{"root", 0o660, nobody, nobody, 0o660, nobody, nobody},
			{"nobody", 0o660, nobody, nobody, 0o660, nobody, nobody},
			{"nobody", 0o666, 0, nobody, 0o666, nobody, nobody},
			{"nobody", 0o674, 0, 0, 0o644, nobody, nobody},
		} {
			what := fmt.Sprintf("%s over a file of %d:%d with mode %o, by %s", args[0], c.owner, c.group, c.mode, c.who)
			os.Remove(path)
			if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chown(path, c.owner, c.group); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, c.mode); err != nil {
				t.Fatal(err)
			}
			does := runCode
			if c.who == "nobody" {
				does = asNobody
			}
			if out, code := does(t, binary(t), args...); code != 0 {
				t.Errorf("%s: exit code %d\n%s", what, code, out)
				continue
			}
			st, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			sys := st.Sys().(*syscall.Stat_t)
			if st.Mode().Perm() != c.modeThen || int(sys.Uid) != c.ownerThen || int(sys.Gid) != c.groupThen {
				t.Errorf("%s: now it is of %d:%d with mode %o", what, sys.Uid, sys.Gid, st.Mode().Perm())
			}
			if content, err := os.ReadFile(path); err != nil || string(content) == "old" {
				t.Errorf("%s: it is not replaced, %v", what, err)
			}
		}
	}
}
