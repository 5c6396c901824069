package fat_test

import (
	"bytes"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"fatvol/image/fat"
	"fatvol/image/fat/fattest"
)

// TestStaleHandle: a handle from before the volume was changed elsewhere, closed afterwards, takes no clusters from those
// who have them by now.
func TestStaleHandle(t *testing.T) { synctest.Test(t, staleHandle) }

func staleHandle(t *testing.T) {
	v, mem := open(t, fattest.Layout{Width: 32, Clusters: 70000}, fat.Options{Log: slog.New(slog.DiscardHandler)})
	create := func(name string) *fat.Handle {
		t.Helper()
		n, err := v.Create(v.Root(), name, 0)
		if err != nil {
			t.Fatal(err)
		}
		h, err := n.Open()
		if err != nil {
			t.Fatal(err)
		}
		n.Release(1)
		return h
	}
	appendTo := func(h *fat.Handle, c byte, size, times int) {
		t.Helper()
		for range times {
			if _, _, err := h.Append(bytes.Repeat([]byte{c}, size)); err != nil {
				t.Fatal(err)
			}
		}
	}
	old := create("old.log")
	appendTo(old, 1, 5000, 3) // from now on it has a window
	for v.Pending() {
		time.Sleep(time.Second)
	}
	elsewhere, err := fat.Open(mem, fat.Options{CommitDelay: -1, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(elsewhere.Unlink(elsewhere.Root(), "old.log"), elsewhere.Close(), v.Reset(mem)); err != nil {
		t.Fatal(err)
	}

	a := create("a.log")
	appendTo(a, 'a', 5000, 3)
	old.Close()
	b := create("b.log")
	appendTo(b, 'b', 50_000, 3)
	appendTo(a, 'a', 5000, 20)
	for c, h := range map[byte]*fat.Handle{'a': a, 'b': b} {
		got := make([]byte, 150_000)
		n, err := h.ReadAt(got, 0)
		if err != nil || n == 0 || bytes.Count(got[:n], []byte{c}) != n {
			t.Errorf("%c.log: of %d bytes, %d are its own (%v)", c, n, bytes.Count(got[:n], []byte{c}), err)
		}
		h.Close()
	}
}

// TestWindowsOfForgotten: a file that was never open, and is forgotten, keeps no clusters for a next append.
func TestWindowsOfForgotten(t *testing.T) {
	v, _ := open(t, fattest.Layout{Width: 32, Clusters: 70000}, fat.Options{CommitDelay: -1})
	for _, name := range []string{"a", "b", "c"} {
		n, err := v.Create(v.Root(), name, 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(n.Truncate(1000), n.Truncate(9000)); err != nil {
			t.Fatal(err)
		}
		n.Release(1)
	}
	if err := v.Sync(); err != nil {
		t.Fatal(err)
	}
	if n := v.Windows(); n > 0 {
		t.Errorf("%d windows of files that nobody knows", n)
	}
}

// TestNameComesBack: names that go and come back in one epoch.
func TestNameComesBack(t *testing.T) {
	for name, c := range map[string]struct {
		before string
		steps  []string // "-" removes, "+" makes, ">" renames what was made last
		want   []string
	}{
		"spelled anew meanwhile": {"Some name.text",
			[]string{"-Some name.text", "+Some name.text", ">some NAME.text", "-some NAME.text", "+some NAME.text"}, []string{"some NAME.text"}},
		"its alias is a long name by then": {"foobarbaz.txt",
			[]string{"-foobarbaz.txt", "+foobar~1.txt", "+foobarbaz.txt"}, []string{"foobarbaz.txt", "foobar~1.txt"}},
	} {
		t.Run(name, func(t *testing.T) {
			v, mem := open(t, fattest.Layout{Width: 16, Clusters: 4200}, fat.Options{CommitDelay: -1})
			last := c.before
			create := func(name string) error {
				n, err := v.Create(v.Root(), name, 0)
				if err == nil {
					n.Release(1)
				}
				return err
			}
			if err := errors.Join(create(c.before), v.Sync()); err != nil {
				t.Fatal(err)
			}
			for _, step := range c.steps {
				var err error
				switch name := step[1:]; step[0] {
				case '-':
					err = v.Unlink(v.Root(), name)
				case '+':
					last, err = name, create(name)
				case '>':
					err = v.Rename(v.Root(), last, v.Root(), name, 0)
				}
				if err != nil {
					t.Fatalf("%s: %v", step, err)
				}
			}
			var names []string
			if err := v.ReadDir(v.Root(), 0, func(e *fat.Entry) bool { names = append(names, e.Name); return true }); err != nil {
				t.Fatal(err)
			}
			slices.Sort(names)
			if !slices.Equal(names, c.want) {
				t.Errorf("%q, want %q", names, c.want)
			}
			if err := v.Close(); err != nil {
				t.Fatal(err)
			}
			found := func(f fat.Finding) { t.Errorf("%v %s %s", f.Kind, f.Path, f.Detail) }
			if _, err := fat.Check(mem, fat.CheckOptions{Found: found}); err != nil {
				t.Error(err)
			}
		})
	}
}
