package main

import (
	"context"
	"strings"
	"testing"
)

// TestArguments: what a script makes of a variable that was never set is refused, and by its name; and so is what is one
// too many, or no command.
func TestArguments(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, tc := range []struct {
		argv []string
		code int
		says string
	}{
		{[]string{"fatvol", "mount", "", "/mnt"}, exitUsage, "mount: IMAGE is empty"},
		{[]string{"fatvol", "mount", "card.img", ""}, exitUsage, "mount: DIR is empty"},
		{[]string{"mount.fatvol", "", "/mnt"}, exitUsage, "mount.fatvol: IMAGE is empty"},
		{[]string{"mount.fatvol", "card.img", "", "-o", "ro"}, exitUsage, "mount.fatvol: DIR is empty"},
		{[]string{"mount_fatvol", "-o", "ro", "", "/mnt"}, exitUsage, "mount_fatvol: IMAGE is empty"},
		{[]string{"umount.fatvol", ""}, exitUsage, "umount.fatvol: DIR is empty"},
		{[]string{"fatvol", "umount", ""}, exitUsage, "umount: DIR is empty"},
		{[]string{"fatvol", "status", ""}, exitUsage, "status: DIR is empty"},
		{[]string{"fatvol", "eject", ""}, exitUsage, "eject: PATH is empty"},
		{[]string{"fatvol", "eject", "--config", "", "/mnt"}, exitUsage, "eject: --config is empty"},
		{[]string{"fatvol", "automount", "--directory="}, exitUsage, "automount: --directory is empty"},
		{[]string{"fatvol", "exec", "", "--", "true"}, exitExec, "exec: IMAGE is empty"},
		{[]string{"fatvol", "create", "", "--size", "1M"}, exitUsage, "create: IMAGE is empty"},
		{[]string{"fatvol", "create", "new.img", "--size", "1M", "--from", ""}, exitUsage, "create: --from is empty"},
		{[]string{"fatvol", "check", ""}, checkUsage, "check: IMAGE is empty"},
		{[]string{"fatvol", "info", ""}, exitUsage, "info: IMAGE[:PART] is empty"},
		{[]string{"fatvol", "info", "--map=", "card.img"}, exitUsage, "info: --map is empty"},
		{[]string{"fatvol", "resize", "card.img", ""}, exitUsage, "resize: SIZE is empty"},
		{[]string{"fatvol", "label", ""}, exitUsage, "label: IMAGE[:PART] is empty"},
		{[]string{"fatvol", "label", "", "LABEL"}, exitUsage, "label: IMAGE[:PART] is empty"},
		{[]string{"fatvol", "label", ":/", "LABEL"}, exitUsage, "label: :/: there is no image before the colon"},
		{[]string{"fatvol", "ls", ""}, exitUsage, "ls: an argument is empty"},
		{[]string{"fatvol", "cp", "card.img:/file", ":/file"}, exitUsage, "cp: :/file: there is no image before the colon"},
		{[]string{"fatvol", "version", "x"}, exitUsage, "version: takes no arguments, 1 given: see 'fatvol version --help'"},
		{[]string{"fatvol", "automount", "x"}, exitUsage, "automount: takes no arguments, 1 given"},
		{[]string{"fatvol", "replay", "list", "x"}, exitUsage, "replay list: takes no arguments, 1 given: see 'fatvol replay list --help'"},
		{[]string{"fatvol", "replay", "show"}, exitUsage, "replay show: FILE needed, 0 given: see 'fatvol replay show --help'"},
		{[]string{"fatvol", "replay", "list", "--json"}, exitUsage, "replay list: unknown flag: --json"},
		{[]string{"fatvol", "replay", "lost"}, exitUsage, `unknown command "lost": did you mean list?`},
		{[]string{"fatvol", "mount", "--bogus"}, exitUsage, "mount: unknown flag: --bogus: see 'fatvol mount --help'"},
	} {
		err := dispatch(context.Background(), tc.argv)
		if exitCode(err) != tc.code || !strings.HasPrefix(err.Error(), tc.says) {
			t.Errorf("%q: exit code %d, says %v", tc.argv, exitCode(err), err)
		}
	}
}
