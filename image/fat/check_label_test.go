package fat_test

import (
	"testing"

	"fatvol/image/fat"
	"fatvol/image/fat/fattest"
)

// TestCheckLabel: the label of the boot sector is that of the root directory, and can be one, as fsck.fat wants it.
func TestCheckLabel(t *testing.T) {
	const none = "NO NAME    "
	for name, tc := range map[string]struct{ root, boot, want string }{
		"other":             {"VOLUME     ", "OTHER      ", "VOLUME"},
		"none in boot":      {"VOLUME     ", none, "VOLUME"},
		"zeros in boot":     {"VOLUME     ", string(make([]byte, 11)), "VOLUME"},
		"in boot only":      {"", "OTHER      ", "OTHER"},
		"zeros only":        {"", string(make([]byte, 11)), ""},
		"spaces only":       {"", "           ", ""},
		"bytes":             {"VO*U\x01E     ", "VO*U\x01E     ", "VO_U_E"},
		"bytes in boot":     {"", " A/B       ", "A_B"},
		"spaces in root":    {"           ", none, ""},
		"space before it":   {" VOLUME    ", "VOLUME     ", "VOLUME"},
		"the same":          {"VOLUME     ", "VOLUME     ", "VOLUME"},
		"none at all":       {"", none, ""},
		"small and foreign": {"vol\x81me     ", "vol\x81me     ", "vol\x81me"},
	} {
		for _, l := range repairLayouts {
			t.Run(name+"/"+fat.Width(l.Width).String(), func(t *testing.T) {
				m := damageable(t, l)
				e := fattest.NewEditor(t, m)
				if tc.root != "" {
					s := make([]byte, 32)
					copy(s, tc.root)
					s[11] = 8
					e.Write(s, e.FreeSlot())
				}
				at := int64(43)
				if l.Width == 32 {
					at = 71
					e.Write([]byte(tc.boot), e.Report().Volume.Backup+at)
				}
				e.Write([]byte(tc.boot), at)
				found := inspect(t, m, readable(t, m))
				if right := tc.want == "" && tc.boot == none && tc.root == "" || tc.root != "" && tc.root == tc.boot && tc.want[2] != '_'; right != (len(found) == 0) {
					t.Errorf("found: %+v", found)
				}
				if got := e.Report().Label; got != tc.want {
					t.Errorf("label %q, want %q", got, tc.want)
				}
				if l.Width == 32 || name == "small and foreign" { // what fsck.fat takes for letters depends on the locale
					return
				}
				if said, code, _ := fsckFat(t, m, "-n"); code != 0 {
					t.Errorf("fsck.fat finds:\n%s", said)
				}
			})
		}
	}
}
