package fs

import (
	"fmt"
	"testing"

	"fatvol/image/fat"
)

func TestMode(t *testing.T) {
	const ro = fat.AttrReadOnly
	for _, c := range []struct {
		name         string
		opt          Options
		attr         fat.Attributes
		dir, program bool
		want         uint32
	}{
		{"file", Options{}, 0, false, false, modeFile | 0o777},
		{"file, masked", Options{FMask: 0o133, DMask: 0o22}, 0, false, false, modeFile | 0o644},
		{"directory, masked", Options{FMask: 0o133, DMask: 0o22}, fat.AttrDirectory, true, false, modeDir | 0o755},
		{"read-only file", Options{FMask: 0o22}, ro, false, false, modeFile | 0o555},
		{"read-only directory is a flag", Options{DMask: 0o22}, ro, true, false, modeDir | 0o755},
		{"read-only directory with rodir", Options{DMask: 0o22, RODir: true}, ro, true, false, modeDir | 0o555},
		{"showexec, text", Options{ShowExec: true, FMask: 0o22}, 0, false, false, modeFile | 0o644},
		{"showexec, program", Options{ShowExec: true, FMask: 0o22}, 0, false, true, modeFile | 0o755},
		{"showexec, directory", Options{ShowExec: true}, 0, true, false, modeDir | 0o777},
		{"showexec, read-only text", Options{ShowExec: true}, ro, false, false, modeFile | 0o444},
		{"hidden and system are no modes", Options{}, fat.AttrHidden | fat.AttrSystem, false, false, modeFile | 0o777},
	} {
		if got := c.opt.mode(c.attr, c.dir, c.program); got != c.want {
			t.Errorf("%s: %o, want %o", c.name, got, c.want)
		}
	}
}

func TestChmod(t *testing.T) {
	for _, c := range []struct {
		opt          Options
		from, to     uint32
		readOnly, ok bool
	}{
		{Options{}, modeFile | 0o777, modeFile | 0o555, true, true},
		{Options{}, modeFile | 0o555, modeFile | 0o777, false, true},
		{Options{FMask: 0o22}, modeFile | 0o755, modeFile | 0o555, true, true},
		{Options{FMask: 0o22}, modeFile | 0o555, modeFile | 0o755, false, true},
		{Options{FMask: 0o22}, modeFile | 0o755, modeFile | 0o777, false, true},  // the mask decides what w is left
		{Options{FMask: 0o22}, modeFile | 0o755, modeFile | 0o644, false, false}, // x cannot be taken away
		{Options{FMask: 0o133}, modeFile | 0o644, modeFile | 0o444, true, true},
		{Options{FMask: 0o133}, modeFile | 0o644, modeFile | 0o755, false, true}, // x is masked, so it asks for nothing
		{Options{FMask: 0o133}, modeFile | 0o644, modeFile | 0o600, false, false},
		{Options{}, modeFile | 0o777, modeFile | 0o755, false, false}, // w for some only
		{Options{}, modeFile | 0o777, modeFile | 0, false, false},
		{Options{FMask: 0o222}, modeFile | 0o555, modeFile | 0o555, false, false}, // no w that could tell
		{Options{DMask: 0o22}, modeDir | 0o755, modeDir | 0o555, false, false},
		{Options{DMask: 0o22}, modeDir | 0o755, modeDir | 0o755, false, false},
		{Options{DMask: 0o22, RODir: true}, modeDir | 0o755, modeDir | 0o555, true, true},
		{Options{DMask: 0o22, RODir: true}, modeDir | 0o555, modeDir | 0o755, false, true},
		{Options{ShowExec: true}, modeFile | 0o666, modeFile | 0o444, true, true},
		{Options{ShowExec: true}, modeFile | 0o666, modeFile | 0o555, false, false},
	} {
		t.Run(fmt.Sprintf("%o to %o", c.from, c.to), func(t *testing.T) {
			readOnly, ok := c.opt.chmod(c.from, c.to)
			if readOnly != c.readOnly || ok != c.ok {
				t.Errorf("%+v: read-only %v, possible %v; want %v, %v", c.opt, readOnly, ok, c.readOnly, c.ok)
			}
			if !ok {
				return
			}
			var attr fat.Attributes
			if readOnly {
				attr = fat.AttrReadOnly
			}
			dir := c.from&modeType == modeDir
			if got, want := c.opt.mode(attr, dir, !c.opt.ShowExec), c.to&^c.opt.mask(dir); got != want {
				t.Errorf("the mode becomes %o, asked for was %o", got, want)
			}
		})
	}
}

func TestIsProgram(t *testing.T) {
	for name, want := range map[string]bool{
		"SETUP.EXE": true, "COMMAND.COM": true, "AUTOEXEC.BAT": true,
		"README.TXT": false, "EXE": false, "A": false, "": false, "BAT.": false, "X.EX": false,
	} {
		if got := isProgram(name); got != want {
			t.Errorf("%q: %v", name, got)
		}
	}
}

func TestKernelChecks(t *testing.T) {
	for _, c := range []struct {
		opt  Options
		want bool
	}{
		{Options{}, false},
		{Options{DefaultPermissions: true}, true},
		{Options{DefaultPermissions: true, Quiet: true}, false},
		{Options{DefaultPermissions: true, AllowUTime: 0o20}, false},
		{Options{DefaultPermissions: true, AllowUTime: 0o2}, false},
	} {
		if got := c.opt.kernelChecks(); got != c.want {
			t.Errorf("%+v: %v", c.opt, got)
		}
	}
}
