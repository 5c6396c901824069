package main

import (
	"errors"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"fatvol/fs"
	"fatvol/image/fat"
)

// alice is a caller without privileges.
var alice = caller{uid: 1000, gid: 100, umask: 0o027}

// system is root.
var system = caller{umask: 0o022, privileged: true}

// parse is parseMountOptions for options that must be right.
func parse(t *testing.T, who caller, options string) *config {
	t.Helper()
	c, err := parseMountOptions(who, []string{options}, false)
	if err != nil {
		t.Fatalf("-o %s: %v", options, err)
	}
	return c
}

// stamp is what the clock of a mount writes for an instant of 2026: minutes since midnight, UTC.
func stamp(c *config) int {
	_, tim, _ := c.fat.Clock.Encode(time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC))
	return int(tim>>11)*60 + int(tim>>5&63)
}

// Each case gives options and what they set, next to what they do not.
var optionCases = []struct {
	options string
	got     func(c *config) any
	want    any
}{
	{"", func(c *config) any { return []uint32{c.fs.UID, c.fs.GID} }, []uint32{1000, 100}},
	{"", func(c *config) any { return []uint32{c.fs.FMask, c.fs.DMask, c.fs.AllowUTime} }, []uint32{0o027, 0o027, 0}},
	{"", func(c *config) any { return c.fat.Names }, fat.NameOptions{IOCharset: "utf8", ShortName: fat.ShortMixed}},
	{"", func(c *config) any { return c.fat.Errors }, fat.ErrorsRemountRO},
	{"", func(c *config) any { return []bool{c.fs.NoSuid, c.fs.NoDev, c.fs.NoExec} }, []bool{true, true, false}},
	{"", func(c *config) any { return []bool{c.fs.RelAtime, c.fat.NoAtime, c.fat.NoDirAtime} }, []bool{true, false, true}},
	{"", func(c *config) any { return []bool{c.fs.DefaultPermissions, c.fs.AllowOther} }, []bool{true, false}},
	{"", func(c *config) any { return c.fs.Subtype }, "fatvol"},

	{"partition=3", func(c *config) any { return c.image.Partition }, "3"},
	{`partition="MY, DISK"`, func(c *config) any { return c.image.Partition }, "MY, DISK"},
	{`partition=MY\, DISK`, func(c *config) any { return c.image.Partition }, "MY, DISK"},
	{`partition=a=b`, func(c *config) any { return c.image.Partition }, "a=b"},
	{`partition=c:\x`, func(c *config) any { return c.image.Partition }, `c:\x`},
	{"offset=1048576", func(c *config) any { return c.image.Offset }, int64(1 << 20)},
	{"offset=0", func(c *config) any { return c.image.NoTable }, true},
	{"offset=1MiB", func(c *config) any { return c.image.Offset }, int64(1 << 20)},
	{"offset=63K", func(c *config) any { return c.image.Offset }, int64(63 << 10)},
	{"offset=1MB", func(c *config) any { return c.image.Offset }, int64(1e6)},
	{"offset=512,sizelimit=2T", func(c *config) any { return []int64{c.image.Offset, c.image.SizeLimit} }, []int64{512, 2 << 40}},

	{"uid=0", func(c *config) any { return c.fs.UID }, uint32(0)},
	{"uid=4294967294", func(c *config) any { return c.fs.UID }, uint32(4294967294)},
	{"uid=root", func(c *config) any { return c.fs.UID }, uint32(0)},
	{"gid=7", func(c *config) any { return c.fs.GID }, uint32(7)},
	{"umask=022", func(c *config) any { return []uint32{c.fs.FMask, c.fs.DMask} }, []uint32{0o022, 0o022}},
	{"umask=0", func(c *config) any { return c.fs.AllowUTime }, uint32(0o022)},
	{"umask=077,dmask=007", func(c *config) any { return []uint32{c.fs.FMask, c.fs.DMask} }, []uint32{0o077, 0o007}},
	{"dmask=007,umask=077", func(c *config) any { return []uint32{c.fs.FMask, c.fs.DMask} }, []uint32{0o077, 0o077}},
	{"fmask=133", func(c *config) any { return []uint32{c.fs.FMask, c.fs.DMask} }, []uint32{0o133, 0o027}},
	{"dmask=002", func(c *config) any { return c.fs.AllowUTime }, uint32(0o020)},
	{"dmask=000,allow_utime=2", func(c *config) any { return c.fs.AllowUTime }, uint32(0o002)},
	{"allow_utime=777", func(c *config) any { return c.fs.AllowUTime }, uint32(0o022)},
	{"allow_utime=0,dmask=0", func(c *config) any { return c.fs.AllowUTime }, uint32(0)},
	{"quiet", func(c *config) any { return c.fs.Quiet }, true},
	{"showexec", func(c *config) any { return c.fs.ShowExec }, true},
	{"sys_immutable", func(c *config) any { return c.fs.SysImmutable }, true},
	{"rodir", func(c *config) any { return c.fs.RODir }, true},
	{"allow_other", func(c *config) any { return c.fs.AllowOther }, true},
	{"default_permissions,umask=022", func(c *config) any { return c.fs.DefaultPermissions }, true},
	{"umask=022", func(c *config) any { return c.fs.DefaultPermissions }, false},
	{"umask=022,dmask=026", func(c *config) any { return c.fs.DefaultPermissions }, true},
	{"umask=022,fmask=0133", func(c *config) any { return c.fs.DefaultPermissions }, false},
	{"umask=022,fmask=0137", func(c *config) any { return c.fs.DefaultPermissions }, true},
	{"umask=002", func(c *config) any { return c.fs.DefaultPermissions }, true},
	{"umask=022,dmask=023", func(c *config) any { return c.fs.DefaultPermissions }, true},

	{"utf8", func(c *config) any { return c.fat.Names.IOCharset }, "utf8"},
	{"utf8=0", func(c *config) any { return c.fat.Names.IOCharset }, "iso8859-1"},
	{"utf8=no,utf8=true", func(c *config) any { return c.fat.Names.IOCharset }, "utf8"},
	{"iocharset=koi8-r", func(c *config) any { return c.fat.Names.IOCharset }, "koi8-r"},
	{"iocharset=utf8", func(c *config) any { return c.fat.Names.IOCharset }, "utf8"},
	{"iocharset=koi8-r,utf8", func(c *config) any { return c.fat.Names.IOCharset }, "utf8"},
	{"iocharset=koi8-r,utf8=0", func(c *config) any { return c.fat.Names.IOCharset }, "koi8-r"},
	{"uni_xlate", func(c *config) any { return c.fat.Names }, fat.NameOptions{IOCharset: "iso8859-1", UniXlate: true}},
	{"uni_xlate=1,utf8=1", func(c *config) any { return c.fat.Names.IOCharset }, "iso8859-1"},
	{"uni_xlate=yes,uni_xlate=false", func(c *config) any { return c.fat.Names }, fat.NameOptions{IOCharset: "utf8"}},
	{"uni_xlate,iocharset=koi8-r", func(c *config) any { return c.fat.Names.IOCharset }, "koi8-r"},
	{"codepage=850", func(c *config) any { return c.fat.Names.CodePage }, "850"},
	{"shortname=lower", func(c *config) any { return c.fat.Names.ShortName }, fat.ShortLower},
	{"shortname=win95", func(c *config) any { return c.fat.Names.ShortName }, fat.ShortWin95},
	{"shortname=winnt", func(c *config) any { return c.fat.Names.ShortName }, fat.ShortWinNT},
	{"shortname=winnt,shortname=mixed", func(c *config) any { return c.fat.Names.ShortName }, fat.ShortMixed},
	{"volname=My card", func(c *config) any { return c.fs.VolumeName }, "My card"},
	{"nobrowse", func(c *config) any { return c.fs.NoBrowse }, true},
	{"noappledouble", func(c *config) any { return c.fs.NoAppleDouble }, true},
	{"nocase", func(c *config) any { return c.fat.Names.ShortName }, fat.ShortWin95},
	{"nonumtail", func(c *config) any { return c.fat.Names.NoNumTail }, true},
	{"nonumtail=1,nonumtail=0", func(c *config) any { return c.fat.Names.NoNumTail }, false},
	{"check=s", func(c *config) any { return c.fat.Names.Check }, fat.CheckStrict},
	{"check=relaxed", func(c *config) any { return c.fat.Names.Check }, fat.CheckRelaxed},
	{"check=s,check=n", func(c *config) any { return c.fat.Names.Check }, fat.CheckNormal},

	{"tz=UTC", func(c *config) any { return stamp(c) }, 12 * 60},
	{"time_offset=90", func(c *config) any { return stamp(c) }, 13*60 + 30},
	{"time_offset=-600", func(c *config) any { return stamp(c) }, 2 * 60},
	{"time_offset=90,tz=UTC", func(c *config) any { return stamp(c) }, 12 * 60},
	{"tz=UTC,time_offset=-1440", func(c *config) any { return stamp(c) }, 12 * 60},
	{"", func(c *config) any { return c.medium }, mediumConfig{30 * time.Second, 64 << 20, false, replayApply, ""}},
	{"iotimeout=5", func(c *config) any { return c.medium.ioTimeout }, 5 * time.Second},
	{"iotimeout=1.5", func(c *config) any { return c.medium.ioTimeout }, 1500 * time.Millisecond},
	{"iotimeout=100ms", func(c *config) any { return c.medium.ioTimeout }, 100 * time.Millisecond},
	{"iotimeout=1m30s", func(c *config) any { return c.medium.ioTimeout }, 90 * time.Second},
	{"iotimeout=3600", func(c *config) any { return c.medium.ioTimeout }, time.Hour},
	{"nodetect=probe:uevent", func(c *config) any { return c.medium.nodetect }, "probe:uevent"},
	{"unsynced=4M", func(c *config) any { return c.medium.unsynced }, int64(4 << 20)},
	{"unsynced=1G", func(c *config) any { return c.medium.unsynced }, int64(1 << 30)},
	{"return=never", func(c *config) any { return c.medium.never }, true},
	{"return=never,return=resume", func(c *config) any { return c.medium.never }, false},
	{"replay=ask", func(c *config) any { return c.medium.replay }, replayAsk},
	{"replay=ignore", func(c *config) any { return c.medium.replay }, replayIgnore},
	{"replay=ignore,replay=apply", func(c *config) any { return c.medium.replay }, replayApply},

	{"noatime", func(c *config) any { return []bool{c.fat.NoAtime, c.fs.NoAtime, c.fs.RelAtime} }, []bool{true, true, false}},
	{"noatime,atime", func(c *config) any { return []bool{c.fat.NoAtime, c.fs.NoAtime, c.fs.RelAtime} }, []bool{false, false, true}},
	{"noatime,relatime", func(c *config) any { return []bool{c.fat.NoAtime, c.fs.RelAtime} }, []bool{false, true}},
	{"strictatime", func(c *config) any { return []bool{c.fat.StrictAtime, c.fs.StrictAtime, c.fs.RelAtime} }, []bool{true, true, false}},
	{"strictatime,nostrictatime", func(c *config) any { return c.fat.StrictAtime }, false},
	{"strictatime,norelatime", func(c *config) any { return c.fs.RelAtime }, true},

	{"ro", func(c *config) any { return []bool{c.image.ReadOnly, c.fat.ReadOnly, c.fs.ReadOnly} }, []bool{true, true, true}},
	{"ro,rw", func(c *config) any { return []bool{c.image.ReadOnly, c.fat.ReadOnly, c.fs.ReadOnly} }, []bool{false, false, false}},
	{"sync", func(c *config) any { return []bool{c.fat.Sync, c.fs.Sync} }, []bool{true, true}},
	{"sync,async", func(c *config) any { return []bool{c.fat.Sync, c.fs.Sync} }, []bool{false, false}},
	{"dirsync", func(c *config) any { return []bool{c.fat.DirSync, c.fs.DirSync, c.fat.Sync} }, []bool{true, true, false}},
	{"flush", func(c *config) any { return c.fat.Flush }, true},
	{"writeback", func(c *config) any { return c.fs.Writeback }, true},
	{"wakeup=normal", func(c *config) any { return c.fs.Wakeup }, fs.WakeupNormal},
	{"wakeup=fast,wakeup=auto", func(c *config) any { return c.fs.Wakeup }, fs.WakeupAuto},
	{"discard", func(c *config) any { return c.fat.Discard }, true},
	{"errors=continue", func(c *config) any { return c.fat.Errors }, fat.ErrorsContinue},
	{"errors=panic", func(c *config) any { return c.fat.Errors }, fat.ErrorsPanic},
	{"errors=panic,errors=remount-ro", func(c *config) any { return c.fat.Errors }, fat.ErrorsRemountRO},
	{"repair=keep", func(c *config) any { return c.fat.Repair }, fat.RepairKeep},
	{"repair=no", func(c *config) any { return c.fat.Repair }, fat.RepairNo},
	{"repair=no,repair=yes", func(c *config) any { return c.fat.Repair }, fat.RepairFree},
	{"usefree", func(c *config) any { return c.fat.UseFree }, true},
	{"debug", func(c *config) any { return c.fs.Debug }, true},

	{"fat=16", func(c *config) any { return []int{c.fat.Geometry.FAT, c.image.Geometry.FAT} }, []int{16, 16}},
	{"dos1xfloppy", func(c *config) any { return []bool{c.fat.Geometry.DOS1x, c.image.Geometry.DOS1x} }, []bool{true, true}},
	{"dos1xfloppy=no", func(c *config) any { return c.fat.Geometry.DOS1x }, false},
	{"nfs", func(c *config) any { return c.fs.NFS }, "stale_rw"},
	{"nfs=stale_rw", func(c *config) any { return c.fs.ReadOnly }, false},
	{"nfs=nostale_ro", func(c *config) any { return []any{c.fs.NFS, c.fs.ReadOnly, c.image.ReadOnly} }, []any{"nostale_ro", true, true}},

	{"noexec", func(c *config) any { return c.fs.NoExec }, true},
	{"noexec,exec", func(c *config) any { return c.fs.NoExec }, false},
	{"suid,dev", func(c *config) any { return []bool{c.fs.NoSuid, c.fs.NoDev} }, []bool{true, true}},
	{"nosuid,nodev", func(c *config) any { return []bool{c.fs.NoSuid, c.fs.NoDev} }, []bool{true, true}},
	{"fsname=card", func(c *config) any { return c.fs.FSName }, "card"},
	{"subtype=card", func(c *config) any { return c.fs.Subtype }, "card"},
	{"rw,,ro", func(c *config) any { return c.fs.ReadOnly }, true},
	{"x-systemd.automount,X-mount.mkdir=0755,x-gvfs-show,ro", func(c *config) any { return len(c.fs.UserOptions) }, 2},
}

func TestOptions(t *testing.T) {
	for _, tc := range optionCases {
		got := tc.got(parse(t, alice, tc.options))
		if !equal(got, tc.want) {
			t.Errorf("-o %q sets %v, want %v", tc.options, got, tc.want)
		}
	}
}

// equal compares what the cases hold: values and slices of them.
func equal(a, b any) bool {
	switch a := a.(type) {
	case []uint32:
		return slices.Equal(a, b.([]uint32))
	case []int64:
		return slices.Equal(a, b.([]int64))
	case []int:
		return slices.Equal(a, b.([]int))
	case []bool:
		return slices.Equal(a, b.([]bool))
	case []any:
		return slices.Equal(a, b.([]any))
	}
	return a == b
}

// An option without a case would be one of which nobody has said what it sets.
func TestEveryOptionHasACase(t *testing.T) {
	tested := map[string]bool{}
	for _, tc := range optionCases {
		words, err := splitOptions(tc.options)
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range words {
			name, _, _ := strings.Cut(w, "=")
			tested[name] = true
		}
	}
	for _, g := range optionGroups {
		for _, o := range g.options {
			if !tested[o.name] && !slices.ContainsFunc(ignoredOptions, func(i option) bool { return i.name == o.name }) {
				t.Errorf("no case sets %s", o.name)
			}
		}
	}
}

func TestOptionTables(t *testing.T) {
	seen := map[string]bool{}
	for _, g := range optionGroups {
		for _, o := range g.options {
			if seen[o.name] {
				t.Errorf("%s is listed twice", o.name)
			}
			seen[o.name] = true
			if !strings.HasSuffix(o.doc, ".") || strings.Count(o.doc, "`")%2 != 0 {
				t.Errorf("%s: doc is not made of whole sentences: %q", o.name, o.doc)
			}
		}
	}
}

// Options without effect leave everything as it is, with a value and without.
func TestIgnoredOptions(t *testing.T) {
	plain := parse(t, alice, "")
	for _, o := range ignoredOptions {
		for _, word := range []string{o.name, o.name + "=1"} {
			c := parse(t, alice, word)
			obsolete := strings.HasPrefix(o.doc, "Obsolete")
			if (len(c.warnings) > 0) != obsolete {
				t.Errorf("-o %s: warnings %q", word, c.warnings)
			}
			c.warnings = nil
			if c.fs.FMask != plain.fs.FMask || c.image != plain.image || c.fs.ReadOnly || c.fat.Sync || c.fat.Names != plain.fat.Names {
				t.Errorf("-o %s changes the mount", word)
			}
		}
	}
}

func TestRootsDefaults(t *testing.T) {
	c := parse(t, system, "")
	if !c.fs.AllowOther {
		t.Error("a mount by root is closed to others")
	}
	if !c.fs.NoSuid || !c.fs.NoDev {
		t.Error("suid and dev are on by default")
	}
	c = parse(t, system, "suid,dev")
	if c.fs.NoSuid || c.fs.NoDev {
		t.Error("root cannot turn suid and dev on")
	}
}

func TestUserNames(t *testing.T) {
	u, err := user.LookupId("1")
	if err != nil {
		t.Skip("needs a user with the number 1")
	}
	if c := parse(t, alice, "uid="+u.Username); strconv.Itoa(int(c.fs.UID)) != u.Uid {
		t.Errorf("uid=%s gives %d", u.Username, c.fs.UID)
	}
	g, err := user.LookupGroupId("1")
	if err != nil {
		t.Skip("needs a group with the number 1")
	}
	if c := parse(t, alice, "gid="+g.Name); strconv.Itoa(int(c.fs.GID)) != g.Gid {
		t.Errorf("gid=%s gives %d", g.Name, c.fs.GID)
	}
}

func TestBadOptions(t *testing.T) {
	for _, tc := range []struct{ options, says string }{
		{"umsk=022", `option "umsk=022": unknown; did you mean umask`},
		{"shortnam=lower", "did you mean shortname?"},
		{"sycn", "did you mean sync"},
		{"codpage=437", "did you mean codepage?"},
		{"frobnicate", `option "frobnicate": unknown; 'fatvol mount -o help' lists all options`},
		{"dots", "msdos"},
		{"remount", "unmount, and mount again"},
		{"RO", "unknown"},
		{"quiet=1", "takes no value"},
		{"ro=1", "takes no value"},
		{"uid", "needs a value: USER"},
		{"uid=", "needs a value: USER"},
		{"uid=-1", `"-1" is neither a number nor the name of a user`},
		{"uid=4294967295", "stands for no user"},
		{"uid=4294967296", "neither a number nor"},
		{"gid=no-such-group", "the name of a group"},
		{"umask=9", "not an octal number from 0 to 7777"},
		{"umask=10000", "not an octal number"},
		{"fmask=-1", "not an octal number"},
		{"dmask=0x3f", "not an octal number"},
		{"allow_utime=8", "not an octal number"},
		{"utf8=2", "neither of 1, yes, true nor of 0, no, false"},
		{"utf8=", "neither of"},
		{"uni_xlate=maybe", "neither of"},
		{"nonumtail=Y", "neither of"},
		{"dos1xfloppy=on", "neither of"},
		{"shortname=upper", `"upper" is not one of mixed, lower, win95, winnt`},
		{"check=x", "not one of n, normal, r, relaxed, s, strict"},
		{"tz=CET", `"CET" is not one of UTC`},
		{"time_offset=1441", "not a number from -1440 to 1440"},
		{"time_offset=-1441", "not a number"},
		{"time_offset=1h", "not a number"},
		{"errors=remount", "not one of remount-ro, continue, panic"},
		{"fat=13", "not one of 12, 16, 32"},
		{"nfs=yes", "not one of stale_rw, nostale_ro"},
		{"codepage=cp437", "not a number"},
		{"codepage=1", `option "codepage=1"`},
		{"codepage=99999", "not a number from 1 to 65535"},
		{"iocharset=klingon", `option "iocharset=klingon"`},
		{"offset=-1", "not a number of bytes"},
		{"offset=1X", "not a number of bytes"},
		{"offset=1.5M", "not a number of bytes"},
		{"offset=8388608T", "more than 8 EiB"},
		{"sizelimit=0", "too small"},
		{"partition=", "needs a value"},
		{"partition=1,offset=512", "exclude each other"},
		{"offset=0,partition=1", "exclude each other"},
		{"sizelimit=512,partition=1", "exclude each other"},
		{`fsname="a,b`, `closing " is missing`},
		{"iotimout=30", "iotimeout"},
		{"iotimeout", "needs a value"},
		{"iotimeout=", "needs a value"},
		{"iotimeout=soon", "neither a number of seconds nor a time"},
		{"iotimeout=-1", "not within"},
		{"iotimeout=0", "not within"},
		{"iotimeout=99ms", "not within"},
		{"iotimeout=2h", "not within"},
		{"iotimeout=NaN", "neither a number"},
		{"nodetect=probe:luck", "none of probe, uevent, mountinfo, fsnotify"},
		{"unsynced=1M", "too small"},
		{"unsynced=lots", "not a number of bytes"},
		{"unsynched=64M", "unsynced"},
		{"return=maybe", "resume"},
		{"returns=never", "return"},
		{"replay=yes", "apply"},
		{"replay", "needs a value"},
	} {
		_, err := parseMountOptions(alice, []string{tc.options}, false)
		if err == nil {
			t.Errorf("-o %s is accepted", tc.options)
			continue
		}
		if !strings.Contains(err.Error(), tc.says) || strings.Contains(err.Error(), "\n") {
			t.Errorf("-o %s: the error is %q, want %q in it", tc.options, err, tc.says)
		}
	}
}

func TestSloppy(t *testing.T) {
	c, err := parseMountOptions(alice, []string{"frobnicate=1,ro"}, true)
	if err != nil || !c.readOnly || len(c.warnings) != 1 || !strings.Contains(c.warnings[0], "frobnicate=1") {
		t.Errorf("got %v, warnings %q", err, c.warnings)
	}
	var bad *optionError
	if _, err := parseMountOptions(alice, []string{"umask=9"}, true); !errors.As(err, &bad) {
		t.Errorf("a malformed value is accepted: %v", err)
	}
}

func TestSeveralLists(t *testing.T) {
	c, err := parseMountOptions(alice, []string{"ro,uid=1", "uid=2", "rw"}, false)
	if err != nil || c.readOnly || c.fs.UID != 2 {
		t.Errorf("got %v, ro %v, uid %d", err, c.readOnly, c.fs.UID)
	}
}

// FuzzOptions: no list of options makes the parser panic, and what it accepts is in range.
func FuzzOptions(f *testing.F) {
	for _, tc := range optionCases {
		f.Add(tc.options)
	}
	f.Add(`a="b\,",c=\\`)
	f.Fuzz(func(t *testing.T, options string) {
		c, err := parseMountOptions(alice, []string{options}, false)
		if err != nil {
			return
		}
		if c.image.Offset < 0 || c.image.SizeLimit < 0 || c.fs.FMask > 0o7777 || c.fs.AllowUTime&^0o022 != 0 {
			t.Errorf("-o %q gives %+v", options, c)
		}
	})
}
