package fat_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"fatvol/image/device"
	"fatvol/image/fat"
	"fatvol/image/fat/fattest"
)

// damages are what can be wrong with a volume that damageable made.
var damages = map[string]func(e *fattest.Editor){
	"leak":          func(e *fattest.Editor) { e.Leak(7) },
	"leaked loop":   func(e *fattest.Editor) { e.Leak(4); c := e.FreeClusters(1)[0]; e.SetEntry(c, c) },
	"long chain":    func(e *fattest.Editor) { e.Lengthen("a.txt", 3) },
	"orphan slot":   func(e *fattest.Editor) { e.OrphanSlot() },
	"second FAT":    func(e *fattest.Editor) { e.LagFAT() },
	"double name":   func(e *fattest.Editor) { e.Double("a.txt", "TWICE   TXT") },
	"double dir":    func(e *fattest.Editor) { e.Double("dir/sub", "TWICE      ") },
	"dirty":         func(e *fattest.Editor) { e.MarkDirty() },
	"free in chain": func(e *fattest.Editor) { cs := e.Find("b.bin").Clusters(); e.SetEntry(cs[2], 0) },
	"first is free": func(e *fattest.Editor) { cs := e.Find("b.bin").Clusters(); e.SetEntry(cs[0], 0) },
	"bad in chain": func(e *fattest.Editor) {
		cs := e.Find("b.bin").Clusters()
		e.SetEntry(cs[2], e.Report().Volume.BadMark())
	},
	"out of range": func(e *fattest.Editor) {
		cs := e.Find("b.bin").Clusters()
		e.SetEntry(cs[1], e.Report().Volume.Clusters+2)
	},
	"reserved value": func(e *fattest.Editor) { cs := e.Find("b.bin").Clusters(); e.SetEntry(cs[1], 1) },
	"loop":           func(e *fattest.Editor) { cs := e.Find("b.bin").Clusters(); e.SetEntry(cs[3], cs[1]) },
	"loop to itself": func(e *fattest.Editor) { cs := e.Find("b.bin").Clusters(); e.SetEntry(cs[0], cs[0]) },
	"cross link": func(e *fattest.Editor) {
		a, b := e.Find("b.bin").Clusters(), e.Find("dir/c.bin").Clusters()
		e.SetEntry(b[1], a[2])
	},
	"cross link back": func(e *fattest.Editor) {
		a, b := e.Find("b.bin").Clusters(), e.Find("dir/c.bin").Clusters()
		e.SetEntry(a[1], b[2])
	},
	"file in a directory's chain": func(e *fattest.Editor) {
		e.SetEntry(e.Find("b.bin").Clusters()[1], e.Find("dir/sub").First)
	},
	"directory in a file's chain": func(e *fattest.Editor) {
		e.SetEntry(e.Find("dir/sub").First, e.Find("b.bin").Clusters()[1])
	},
	"starts as another": slot("b.bin", func(e *fattest.Editor, s []byte) { fattest.SetFirst(s, e.Find("a.txt").First) }),
	"starts as another, which seems older": slot("b.bin", func(e *fattest.Editor, s []byte) {
		fattest.SetFirst(s, e.Find("a.txt").First)
		s[12] |= 0x40
	}),
	"starts as a longer one": slot("a.txt", func(e *fattest.Editor, s []byte) { fattest.SetFirst(s, e.Find("b.bin").First) }),
	"starts inside another":  slot("dir/c.bin", func(e *fattest.Editor, s []byte) { fattest.SetFirst(s, e.Find("b.bin").Clusters()[2]) }),
	"start out of range":     slot("a.txt", func(e *fattest.Editor, s []byte) { fattest.SetFirst(s, e.Report().Volume.Clusters+9) }),
	"start 1":                slot("a.txt", func(e *fattest.Editor, s []byte) { fattest.SetFirst(s, 1) }),
	"size without a start":   slot("a.txt", func(e *fattest.Editor, s []byte) { fattest.SetFirst(s, 0) }),
	"start without a size":   slot("a.txt", func(e *fattest.Editor, s []byte) { fattest.SetSize(s, 0) }),
	"size too large":         slot("a.txt", func(e *fattest.Editor, s []byte) { fattest.SetSize(s, 1<<20) }),
	"size of all":            slot("a.txt", func(e *fattest.Editor, s []byte) { fattest.SetSize(s, 0xffffffff) }),
	"directory's start":      slot("dir/sub", func(e *fattest.Editor, s []byte) { fattest.SetFirst(s, 0) }),
	"directory free":         func(e *fattest.Editor) { e.SetEntry(e.Find("dir/sub").First, 0) },
	"directory in itself":    slot("dir/sub", func(e *fattest.Editor, s []byte) { fattest.SetFirst(s, e.Find("dir").First) }),
	"directory with a size":  slot("dir", func(e *fattest.Editor, s []byte) { fattest.SetSize(s, 4096) }),
	"file is a directory":    slot("b.bin", func(e *fattest.Editor, s []byte) { fattest.SetFirst(s, e.Find("dir").First) }),
	"dot":                    dirSlot("dir", 0, func(s []byte) { fattest.SetFirst(s, 77) }),
	"dotdot":                 dirSlot("dir/sub", 1, func(s []byte) { fattest.SetFirst(s, 77) }),
	"no dots":                dirSlot("dir", 0, func(s []byte) { s[0] = 0xe5 }),
	"head of a directory": func(e *fattest.Editor) {
		v := e.Report().Volume
		e.Write(bytes.Repeat([]byte{0xf6}, 64), v.DataStart+int64(e.Find("dir").First-2)*int64(v.ClusterSize))
	},
	"bad short name": slot("a.txt", func(e *fattest.Editor, s []byte) { s[1] = '*' }),
	"control byte":   slot("a.txt", func(e *fattest.Editor, s []byte) { s[0] = 3 }),
	"same name": func(e *fattest.Editor) {
		s := e.Slot("b.bin")
		copy(s, "A       TXT")
		e.SetSlot("b.bin", s)
	},
	"long name's checksum": func(e *fattest.Editor) {
		f := e.Find("dir/A long name.data")
		s := e.Bytes(f.Offset-32, 32)
		s[13]++
		e.Write(s, f.Offset-32)
	},
	"type of a long name's slot": func(e *fattest.Editor) {
		f := e.Find("dir/A long name.data")
		e.Write([]byte{7}, f.Offset-32+12)
	},
	"attributes of a long name's slot": func(e *fattest.Editor) {
		f := e.Find("dir/A long name.data")
		e.Write([]byte{0xcf}, f.Offset-32+11)
	},
	"case bits of a dot": dirSlot("dir/sub", 1, func(s []byte) { s[12] = 0x20 }),
	"label below the root": func(e *fattest.Editor) {
		f := e.Find("dir/empty")
		s := e.Bytes(f.Offset, 32)
		s[11] = 8
		e.Write(s, f.Offset)
	},
	"reserved entries": func(e *fattest.Editor) { e.SetEntry(0, 0); e.SetEntry(1, 0) },
	"FSInfo count": func(e *fattest.Editor) {
		if v := e.Report().Volume; v.Info != 0 {
			e.Write(binary.LittleEndian.AppendUint32(nil, 5), v.Info+488)
		}
	},
	"FSInfo signature": func(e *fattest.Editor) {
		if v := e.Report().Volume; v.Info != 0 {
			e.Write([]byte{0}, v.Info)
		}
	},
	"behind the end": func(e *fattest.Editor) {
		s := e.Slot("a.txt")
		copy(s, "GARBAGE BIN")
		fattest.SetFirst(s, 2)
		e.Write(s, e.FreeSlot()+64)
	},
	"lost end": func(e *fattest.Editor) {
		f := e.Find("b.bin")
		e.Write([]byte{0}, f.Offset)
	},
	"backup": func(e *fattest.Editor) {
		if v := e.Report().Volume; v.Backup != 0 {
			e.Write([]byte("OTHER"), v.Backup+3)
		}
	},
}

// slot damages the entry of a path.
func slot(path string, fn func(e *fattest.Editor, s []byte)) func(e *fattest.Editor) {
	return func(e *fattest.Editor) {
		s := e.Slot(path)
		fn(e, s)
		e.SetSlot(path, s)
	}
}

// dirSlot damages one of the first slots of a directory.
func dirSlot(path string, i int64, fn func(s []byte)) func(e *fattest.Editor) {
	return func(e *fattest.Editor) {
		v := e.Report().Volume
		off := v.DataStart + int64(e.Find(path).First-2)*int64(v.ClusterSize) + i*32
		s := e.Bytes(off, 32)
		fn(s)
		e.Write(s, off)
	}
}

// damageable is a sound volume with files and directories of each sort.
func damageable(t testing.TB, l fattest.Layout) *device.Mem {
	t.Helper()
	c, base := recordScene(t, l, func(c *scene) {
		cs := c.v.Geometry().ClusterSize
		c.Create("a.txt", c.Data(100)).Close()
		c.Create("b.bin", c.Data(5*cs)).Close()
		c.Mkdir("dir")
		c.Create("dir/c.bin", c.Data(4*cs+9)).Close()
		c.Mkdir("dir/sub")
		c.Create("dir/sub/deep.txt", c.Data(2*cs)).Close()
		c.Create("dir/A long name.data", c.Data(300)).Close()
		c.Create("dir/empty", "").Close()
	})
	if err := c.rec.Replay(base, c.rec.Len()); err != nil {
		t.Fatal(err)
	}
	return base
}

// readable counts the files of a volume that can be read whole, by their contents.
func readable(t testing.TB, m fattest.Source) map[[32]byte]int {
	t.Helper()
	r, err := fattest.Check(m)
	if err != nil {
		t.Fatal(err)
	}
	out := map[[32]byte]int{}
	for _, f := range r.Files {
		if f.IsDir || f.Size == 0 {
			continue
		}
		if got, err := f.Contents(); err == nil {
			out[sha256.Sum256(got)]++
		}
	}
	return out
}

// inspect has the checker look, and then repair, and looks whether all is well after that.
func inspect(t testing.TB, m *device.Mem, before map[[32]byte]int, lenient ...fattest.Kind) (found []fat.Finding) {
	t.Helper()
	was := m.Clone()
	res, err := fat.Check(m, fat.CheckOptions{Found: func(f fat.Finding) { found = append(found, f) }})
	if err != nil {
		t.Fatal(err)
	}
	if res.Found != len(found) || res.Left != res.Found {
		t.Errorf("%d found, %d left, %d told", res.Found, res.Left, len(found))
	}
	if at, same := m.Equal(was); !same {
		t.Errorf("the check has written at offset %d", at)
	}
	var log []string
	fixed, err := fat.Check(m, fat.CheckOptions{Repair: true, Found: func(f fat.Finding) { log = append(log, fmt.Sprintf("%+v", f)) }})
	if err != nil {
		t.Fatal(err)
	}
	r, err := fattest.Check(m)
	if err == nil {
		r.Findings = slices.DeleteFunc(r.Findings, func(f fattest.Finding) bool { return slices.Contains(lenient, f.Kind) })
		err = r.Err()
	}
	if err == nil && r.Dirty {
		err = fmt.Errorf("it is still marked dirty")
	}
	if err != nil || fixed.Left > 0 {
		t.Errorf("after the repair, %d left: %v\n%s", fixed.Left, err, strings.Join(log, "\n"))
	}
	after := readable(t, m)
	for sum, n := range before {
		if n > 0 && after[sum] == 0 {
			t.Errorf("a file that could be read is lost\n%s", strings.Join(log, "\n"))
		}
	}
	again, err := fat.Check(m, fat.CheckOptions{})
	if err != nil || again.Found != 0 {
		t.Errorf("a second look: %+v, %v", again, err)
	}
	return found
}

// fsckFat runs fsck.fat on a volume, and returns what it said, how it ended, and the volume after it.
func fsckFat(t testing.TB, m *device.Mem, flag string) (out string, code int, after *device.Mem) {
	t.Helper()
	img := filepath.Join(t.TempDir(), "volume")
	if err := m.WriteFile(img); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("fsck.fat", flag, img)
	text, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	if after, err = device.ReadMem(img); err != nil {
		t.Fatal(err)
	}
	return string(text), cmd.ProcessState.ExitCode(), after
}

// TestCheckDamages damages a volume in each way. The repair leaves nothing that a checker finds, and
// every file that could be read; fsck.fat keeps no more of them.
func TestCheckDamages(t *testing.T) {
	for name, do := range damages {
		for _, l := range repairLayouts {
			t.Run(fmt.Sprintf("%s/FAT%d", name, l.Width), func(t *testing.T) {
				m := damageable(t, l)
				do(fattest.NewEditor(t, m))
				before := readable(t, m)
				if l.Width == 32 && !strings.Contains(name, "FSInfo") && !strings.Contains(name, "backup") {
					inspect(t, m, before) // an image of 33 MB is too much to ask fsck.fat thrice each time
					return
				}
				said, code, theirs := fsckFat(t, m, "-n")
				ours := inspect(t, m, before)
				if code != 0 && len(ours) == 0 {
					t.Errorf("fsck.fat finds what we do not:\n%s", said)
				}
				if said, code, _ := fsckFat(t, m, "-n"); code != 0 {
					t.Errorf("after the repair, fsck.fat finds:\n%s", said)
				}
				_, _, theirs = fsckFat(t, theirs, "-a")
				kept, their := readable(t, m), readable(t, theirs)
				for sum := range before {
					if kept[sum] < min(their[sum], before[sum]) {
						t.Errorf("fsck.fat keeps a file that we lose")
					}
				}
			})
		}
	}
}

// TestCheckRandom damages volumes in several ways at once, and with random bytes.
func TestCheckRandom(t *testing.T) {
	rounds := 120
	if testing.Short() {
		rounds = 12
	}
	for i := range rounds {
		l := repairLayouts[i%2] // the small ones
		rng := rand.New(rand.NewPCG(*sceneSeed, uint64(i)))
		m := damageable(t, l)
		r, err := fattest.Check(m)
		if err != nil {
			t.Fatal(err)
		}
		v := r.Volume
		for range 1 + rng.IntN(30) {
			off := v.FATStart + rng.Int64N(60)
			if rng.IntN(2) == 0 {
				off = v.RootStart + rng.Int64N(256)
			} else if rng.IntN(2) == 0 {
				off = v.DataStart + rng.Int64N(16*int64(v.ClusterSize))
			}
			if _, err := m.WriteAt([]byte{byte(rng.Uint32())}, off); err != nil {
				t.Fatal(err)
			}
		}
		t.Run(fmt.Sprintf("%d/FAT%d", i, l.Width), func(t *testing.T) {
			// What no reader minds, and fsck.fat does not, stays: it may mean something to somebody.
			inspect(t, m, readable(t, m), fattest.BadTime, fattest.BadLong, fattest.BadAttr, fattest.BadName)
			if i%4 != 0 {
				return
			}
			if said, code, _ := fsckFat(t, m, "-n"); code != 0 {
				t.Errorf("after the repair, fsck.fat finds:\n%s", said)
			}
		})
	}
}
