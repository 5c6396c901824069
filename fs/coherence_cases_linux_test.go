package fs

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

var caseTests = []caseTest{
	{
		name: "create, stat otherwise, unlink by a third spelling",
		steps: func(t *testing.T, p func(string) string) {
			write(t, p("Foo"), "1")
			stats(t, p("FOO"), p("Foo"), p("foo"))
			must(t, os.Remove(p("foo")))
		},
		absent: []string{"Foo", "FOO", "foo"},
	},
	{
		name: "a name that was absent by every spelling is there by every spelling once created",
		steps: func(t *testing.T, p func(string) string) {
			gone(t, p("Foo"), p("FOO"), p("foo"))
			write(t, p("Foo"), "1")
		},
		there:  map[string]string{"Foo": "1", "FOO": "1", "foo": "1"},
		listed: []string{"Foo"},
	},
	{
		name: "unlink otherwise after a listing with attributes",
		steps: func(t *testing.T, p func(string) string) {
			write(t, p("Foo"), "1")
			list(t, p("."))
			stats(t, p("Foo"))
			must(t, os.Remove(p("FOO")))
		},
		absent: []string{"Foo", "FOO"},
	},
	{
		name: "unlink otherwise, create the listed spelling anew",
		steps: func(t *testing.T, p func(string) string) {
			write(t, p("Foo"), "old")
			stats(t, p("Foo"))
			must(t, os.Remove(p("foo")))
			write(t, p("Foo"), "new!")
		},
		there:  map[string]string{"Foo": "new!", "foo": "new!", "FOO": "new!"},
		listed: []string{"Foo"},
	},
	{
		name: "unlink otherwise, create another spelling",
		steps: func(t *testing.T, p func(string) string) {
			write(t, p("Foo"), "old")
			stats(t, p("Foo"), p("FOO"))
			must(t, os.Remove(p("FOO")))
			write(t, p("fOO"), "new")
		},
		there:  map[string]string{"Foo": "new", "fOO": "new"},
		listed: []string{"fOO"},
	},
	{
		name: "unlink otherwise while it is open",
		steps: func(t *testing.T, p func(string) string) {
			write(t, p("Foo"), "1")
			f, err := os.OpenFile(p("Foo"), os.O_RDWR, 0)
			must(t, err)
			t.Cleanup(func() { f.Close() })
			must(t, os.Remove(p("foo")))
			if _, err := f.WriteString("still"); err != nil {
				t.Error(err)
			}
			fi, err := f.Stat()
			must(t, err)
			if fi.Size() != 5 {
				t.Errorf("the open file has %d bytes, want 5", fi.Size())
			}
		},
		absent: []string{"Foo", "foo"},
	},
	{
		name: "exclusive create fails by every spelling",
		steps: func(t *testing.T, p func(string) string) {
			write(t, p("Foo"), "1")
			for _, n := range []string{"Foo", "foo", "FOO"} {
				_, err := os.OpenFile(p(n), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o666)
				wantErrno(t, n, err, unix.EEXIST)
			}
			wantErrno(t, "mkdir", os.Mkdir(p("fOo"), 0o777), unix.EEXIST)
		},
		there:  map[string]string{"Foo": "1"},
		listed: []string{"Foo"},
	},
	{
		name: "truncating open by another spelling hits the same file",
		steps: func(t *testing.T, p func(string) string) {
			write(t, p("Foo"), "long content")
			stats(t, p("Foo"))
			write(t, p("FOO"), "short")
		},
		there:  map[string]string{"Foo": "short", "FOO": "short"},
		listed: []string{"Foo"},
	},
	{
		name: "rename away by another spelling",
		steps: func(t *testing.T, p func(string) string) {
			write(t, p("Foo"), "1")
			stats(t, p("Foo"), p("foo"))
			must(t, os.Rename(p("foo"), p("Bar")))
		},
		there:  map[string]string{"Bar": "1", "bar": "1"},
		absent: []string{"Foo", "foo", "FOO"},
		listed: []string{"Bar"},
	},
	{
		name: "rename onto another spelling of an existing file",
		steps: func(t *testing.T, p func(string) string) {
			write(t, p("Foo"), "victim")
			write(t, p("Bar"), "1")
			stats(t, p("Foo"), p("Bar"))
			must(t, os.Rename(p("Bar"), p("FOO")))
		},
		there:  map[string]string{"Foo": "1", "FOO": "1", "foo": "1"},
		absent: []string{"Bar", "bar"},
	},
	{
		name: "rename onto another spelling, then unlink by the first",
		steps: func(t *testing.T, p func(string) string) {
			write(t, p("Foo"), "victim")
			write(t, p("Bar"), "1")
			stats(t, p("Foo"), p("Bar"))
			must(t, os.Rename(p("Bar"), p("FOO")))
			stats(t, p("FOO"))
			must(t, os.Remove(p("Foo")))
		},
		absent: []string{"Foo", "FOO", "Bar"},
	},
	{
		name: "rename onto a victim that is open",
		steps: func(t *testing.T, p func(string) string) {
			write(t, p("Foo"), "victim")
			write(t, p("Bar"), "1")
			f, err := os.Open(p("Foo"))
			must(t, err)
			t.Cleanup(func() { f.Close() })
			must(t, os.Rename(p("Bar"), p("foo")))
			b := make([]byte, 10)
			if n, _ := f.Read(b); string(b[:n]) != "victim" {
				t.Errorf("the open victim reads %q", b[:n])
			}
		},
		there:  map[string]string{"Foo": "1", "foo": "1"},
		absent: []string{"Bar"},
	},
	{
		name: "exchange by other spellings",
		steps: func(t *testing.T, p func(string) string) {
			write(t, p("Foo"), "foo")
			write(t, p("Bar"), "bar")
			stats(t, p("Foo"), p("Bar"))
			must(t, unix.Renameat2(unix.AT_FDCWD, p("FOO"), unix.AT_FDCWD, p("BAR"), unix.RENAME_EXCHANGE))
		},
		there:  map[string]string{"Foo": "bar", "FOO": "bar", "Bar": "foo", "BAR": "foo"},
		listed: []string{"Bar", "Foo"},
	},
	{
		name: "noreplace fails on another spelling",
		steps: func(t *testing.T, p func(string) string) {
			write(t, p("Foo"), "foo")
			write(t, p("Bar"), "bar")
			err := unix.Renameat2(unix.AT_FDCWD, p("Bar"), unix.AT_FDCWD, p("FOO"), unix.RENAME_NOREPLACE)
			wantErrno(t, "rename", err, unix.EEXIST)
		},
		there: map[string]string{"Foo": "foo", "Bar": "bar"},
	},
	{
		name: "directory removed by another spelling",
		steps: func(t *testing.T, p func(string) string) {
			must(t, os.Mkdir(p("Dir"), 0o777))
			stats(t, p("Dir"), p("DIR"), p("Dir"))
			must(t, os.Remove(p("dir")))
		},
		absent: []string{"Dir", "DIR", "dir"},
	},
	{
		name: "directory renamed by another spelling, with things in it",
		steps: func(t *testing.T, p func(string) string) {
			must(t, os.Mkdir(p("Dir"), 0o777))
			write(t, p("Dir/File"), "1")
			stats(t, p("Dir/File"), p("DIR/FILE"), p("Dir"))
			must(t, os.Rename(p("dir"), p("Other")))
		},
		there:  map[string]string{"Other": "/", "OTHER": "/", "Other/File": "1", "other/file": "1"},
		absent: []string{"Dir", "DIR", "dir", "Dir/File"},
		listed: []string{"Other"},
	},
	{
		name: "directory recreated",
		steps: func(t *testing.T, p func(string) string) {
			must(t, os.Mkdir(p("Dir"), 0o777))
			write(t, p("Dir/File"), "1")
			stats(t, p("DIR/file"))
			must(t, os.RemoveAll(p("DIR")))
			must(t, os.Mkdir(p("dir"), 0o777))
		},
		there:  map[string]string{"dir": "/", "Dir": "/"},
		absent: []string{"Dir/File", "dir/file"},
		listed: []string{"dir"},
	},
	{
		name: "8.3 alias of a long name",
		steps: func(t *testing.T, p func(string) string) {
			write(t, p("A rather long name.text"), "1")
			stats(t, p("A rather long name.text"), p("ARATHE~1.TEX"))
			must(t, os.Remove(p("ARATHE~1.TEX")))
		},
		absent: []string{"A rather long name.text", "ARATHE~1.TEX"},
	},
	{
		name: "decomposed and composed forms of a name",
		steps: func(t *testing.T, p func(string) string) {
			write(t, p("cafe\u0301"), "1")
			stats(t, p("caf\u00e9"), p("cafe\u0301"), p("CAF\u00c9"))
			must(t, os.Remove(p("cafe\u0301")))
		},
		absent: []string{"caf\u00e9", "cafe\u0301"},
	},
	{
		name: "renamed to a decomposed name, removed by the composed one",
		steps: func(t *testing.T, p func(string) string) {
			write(t, p("Foo"), "1")
			stats(t, p("Foo"))
			must(t, os.Rename(p("Foo"), p("cafe\u0301")))
			stats(t, p("cafe\u0301"), p("caf\u00e9"))
			must(t, os.Remove(p("caf\u00e9")))
		},
		absent: []string{"caf\u00e9", "cafe\u0301", "Foo"},
	},
	{
		name: "created by a decomposed name, renamed by the composed one",
		steps: func(t *testing.T, p func(string) string) {
			write(t, p("cafe\u0301"), "1")
			must(t, os.Rename(p("caf\u00e9"), p("Tea")))
		},
		there:  map[string]string{"Tea": "1"},
		absent: []string{"caf\u00e9", "cafe\u0301"},
		listed: []string{"Tea"},
	},
	{
		name: "renamed between directories by other spellings",
		steps: func(t *testing.T, p func(string) string) {
			must(t, os.Mkdir(p("A"), 0o777))
			must(t, os.Mkdir(p("B"), 0o777))
			write(t, p("A/Foo"), "1")
			write(t, p("B/Foo"), "2")
			stats(t, p("A/Foo"), p("B/Foo"))
			must(t, os.Rename(p("a/FOO"), p("b/FOO")))
		},
		there:  map[string]string{"B/Foo": "1", "b/FOO": "1", "B/foo": "1"},
		absent: []string{"A/Foo", "a/foo", "A/FOO"},
	},
}
