package fat

import (
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// mtoolsEnv makes mtools talk UTF-8, in the given zone, and ask nothing.
func mtoolsEnv(tz string) []string {
	return append(os.Environ(), "LC_ALL=C.UTF-8", "MTOOLSRC=/dev/null", "TZ="+tz)
}

func mtool(t *testing.T, tz string, args ...string) string {
	t.Helper()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = mtoolsEnv(tz)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// floppy is a fresh 1.44 MB floppy.
func floppy(t *testing.T) (path string, g *Geometry) {
	t.Helper()
	needTools(t, "mkfs.fat", "fsck.fat", "mcopy", "mdir")
	path = mkfs(t, 1440)
	g, err := readGeometry(t, path)
	if err != nil {
		t.Fatal(err)
	}
	return path, g
}

// rootSlots calls f for each short entry of the root directory with its long name, if it has one.
func rootSlots(t *testing.T, path string, g *Geometry, f func(slot []byte, long []uint16)) {
	t.Helper()
	image, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var p LongParser
	for i := range g.RootEntries {
		s := image[int(g.RootStart)+i*slotSize:][:slotSize]
		switch {
		case s[0] == slotEnd:
			return
		case s[0] == slotDeleted || slotIsLabel(s):
			p.Reset()
		case slotIsLong(s):
			p.Slot(s)
		default:
			long, _, _ := p.Take(shortOf(s))
			f(s, long)
		}
	}
}

// interopNames are names that mtools can write: it knows no characters beyond U+FFFF.
var interopNames = []string{
	"README.TXT", "lower.txt", "Mixed.Txt", "UPPER", "lower", "base.TXT", "BASE2.txt", "a", "B.c",
	"longer than eight.text", "exactly twenty-six units__", "thirteen unit", "fourteen units", " leading space", ".hidden", "..two",
	"a.b.c.d", "plus+minus=.[x]", "com,ma;semi", "tilde~1.txt", "TILDE~1.TX", "naïve café.txt", "ÜBER.TXT", "über2.txt", "straße",
	"日本語のファイル.txt", "Ελληνικά", "русский язык.doc", "한국어", "עברית", "ǆ ĳ ﬁ", "x" + strings.Repeat("y", 199),
	"#$%&'()-@^_`{}~!.ok", "1", "12345678.123", "123456789.1234",
}

func TestMtoolsNamesAreShown(t *testing.T) {
	path, g := floppy(t)
	dir := t.TempDir()
	args := []string{"mcopy", "-i", path}
	for _, name := range interopNames {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, file)
	}
	mtool(t, "UTC", append(args, "::")...)
	n := newNames(t, NameOptions{CodePage: "850"}) // as mtools has it
	var got []string
	rootSlots(t, path, g, func(s []byte, long []uint16) {
		name := n.ShowShort(shortOf(s), s[12])
		if long != nil {
			name = n.ShowLong(long)
		}
		got = append(got, name)
	})
	if !slices.Equal(slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(interopNames))) {
		t.Errorf("got\n%q, want\n%q", got, interopNames)
	}
}

// TestMtoolsShowsOurNames writes a directory of empty files and has mdir list and fsck.fat check it.
func TestMtoolsShowsOurNames(t *testing.T) {
	for _, opt := range []NameOptions{
		{}, {ShortName: ShortWinNT}, {ShortName: ShortLower, NoNumTail: true}, {ShortName: ShortWin95, CodePage: "850"}, {CodePage: "932"},
	} {
		t.Run(fmt.Sprintf("%+v", opt), func(t *testing.T) {
			path, g := floppy(t)
			n := newNames(t, opt)
			image, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			root := image[g.RootStart : int(g.RootStart)+g.RootEntries*slotSize]
			taken := make(map[[11]byte]bool)
			for _, name := range interopNames {
				parsed, err := n.Parse(name)
				if err != nil {
					t.Fatal(err)
				}
				alias := parsed.Short
				if !parsed.Exact {
					alias, _ = n.Alias(parsed, func(s [11]byte) bool { return taken[s] })
					EncodeLong(root, parsed.Units, ShortChecksum(alias))
					root = root[LongSlots(parsed.Units)*slotSize:]
				}
				if taken[alias] {
					t.Errorf("%q: alias %q is taken", name, alias[:])
				}
				taken[alias] = true
				copy(root, alias[:])
				root[11], root[12] = byte(AttrArchive), parsed.Case
				binary.LittleEndian.PutUint16(root[24:], 44<<9|1<<5|1)
				root = root[slotSize:]
			}
			if err := os.WriteFile(path, image, 0o600); err != nil {
				t.Fatal(err)
			}
			var got []string
			for line := range strings.Lines(mtool(t, "UTC", "mdir", "-b", "-i", path, "::")) {
				got = append(got, strings.TrimPrefix(strings.TrimSuffix(line, "\n"), "::/"))
			}
			if !slices.Equal(slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(interopNames))) {
				t.Errorf("mdir shows\n%q, want\n%q", got, interopNames)
			}
			mtool(t, "UTC", "fsck.fat", "-n", path)
		})
	}
}

// TestMtoolsStamps: what mcopy stamps in a zone is what Encode stamps, and what it restores is what
// Decode reads.
func TestMtoolsStamps(t *testing.T) {
	for _, tz := range []string{"UTC", "Europe/Berlin", "America/St_Johns", "Asia/Kolkata", "America/New_York", "Pacific/Auckland"} {
		path, g := floppy(t)
		c := NewClock(zone(t, tz), 0, false)
		dir := t.TempDir()
		want := make(map[string]time.Time)
		args := []string{"mcopy", "-m", "-i", path}
		for i, at := range []time.Time{
			time.Date(1980, 1, 3, 0, 0, 0, 0, time.UTC), time.Date(1999, 12, 31, 23, 59, 59, 0, time.UTC),
			time.Date(2024, 1, 15, 11, 22, 33, 0, time.UTC), time.Date(2024, 7, 15, 11, 22, 34, 0, time.UTC), time.Date(2037, 6, 1, 1, 1, 1, 0, time.UTC),
		} {
			name := fmt.Sprintf("FILE%d", i)
			file := filepath.Join(dir, name)
			if err := os.WriteFile(file, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chtimes(file, at, at); err != nil {
				t.Fatal(err)
			}
			want[name] = at
			args = append(args, file)
		}
		mtool(t, tz, append(args, "::")...)
		n := newNames(t, NameOptions{})
		rootSlots(t, path, g, func(s []byte, _ []uint16) {
			name := n.ShowShort(shortOf(s), s[12])
			d := decodeDirent(s, g.Width)
			date, tim, _ := c.Encode(want[name])
			if d.modifyDate != date || d.modifyTime != tim {
				t.Errorf("%s, %v: mcopy stamps %04x %04x, Encode gives %04x %04x", tz, want[name], d.modifyDate, d.modifyTime, date, tim)
			}
			out := filepath.Join(dir, "back "+name)
			mtool(t, tz, "mcopy", "-m", "-i", path, "::/"+name, out)
			st, err := os.Stat(out)
			if err != nil {
				t.Fatal(err)
			}
			if got := c.Decode(d.modifyDate, d.modifyTime, 0); !got.Equal(st.ModTime()) {
				t.Errorf("%s, %v: mcopy reads %v, Decode gives %v", tz, want[name], st.ModTime(), got)
			}
			delete(want, name)
		})
		if len(want) != 0 {
			t.Errorf("%s: not found: %v", tz, want)
		}
	}
}
