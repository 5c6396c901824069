package fs

import (
	"slices"
	"testing"
)

func TestHelperOptions(t *testing.T) {
	o := Options{ReadOnly: true, NoSuid: true, NoAppleDouble: true, NoBrowse: true, VolumeName: "HOLIDAY"}
	for system, want := range map[string][]string{
		"darwin":  {"ro", "nosuid", "nobrowse", "noappledouble", "volname=HOLIDAY"},
		"freebsd": {"ro", "nosuid"},
	} {
		if got := o.helperOptions(system); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", system, got, want)
		}
	}
	for name, want := range map[string]string{
		"":                "",
		"NO NAME":         "NO NAME",
		"Zürich":          "Zürich",
		"A,allow_other":   "A allow_other",
		"A\\,dev\nB/C:D ": "A  dev B C D",
		",":               "",
	} {
		if got := volumeName(name); got != want {
			t.Errorf("volume name of %q: %q, want %q", name, got, want)
		}
	}
}
