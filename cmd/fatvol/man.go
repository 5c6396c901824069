package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// manCommand writes the manual pages; `make man` calls it, and a test compares.
func manCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "gen-man DIR",
		Short:  "Write the manual pages into DIR",
		Hidden: true,
		Args:   exactly("DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			for name, text := range manPages(cmd.Root()) {
				if err := os.WriteFile(filepath.Join(args[0], name), []byte(text), 0o644); err != nil {
					return withCode(exitSystem, err)
				}
			}
			return nil
		},
	}
}

// manPages returns the text of each page by its file name.
func manPages(root *cobra.Command) map[string]string {
	return map[string]string{
		"fatvol.1":       commandPage(root),
		"mount.fatvol.8": mountPage(),
	}
}

// commandPage is fatvol(1).
func commandPage(root *cobra.Command) string {
	p := newManPage("fatvol", 1, "mount the FAT volume inside a file")
	commands := leafCommands(root)
	p.section("Synopsis")
	for _, c := range commands {
		p.synopsis(useLine(c))
	}
	p.section("Description")
	p.paragraph(root.Long)
	p.paragraph("Names are kept and shown with their long forms, files can be of up to 4 GiB less one byte, and what is written is ordered so that the volume can be used after a loss of power at any moment. Any number of mounts can be there at once; each image only once, unless all its mounts are read-only.")
	p.section("Commands")
	for _, c := range commands {
		p.subsection(useLine(c))
		p.paragraph(c.Long + longIfEmpty(c))
		c.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if !f.Hidden && f.Name != "help" {
				p.item(flagTerm(f), sentence(strings.ReplaceAll(f.Usage, "`", "")))
			}
		})
		if c.Example != "" {
			p.example(c.Example)
		}
	}
	exitSection(p)
	p.section("Signals")
	p.paragraph("`SIGTERM` and `SIGINT` make the process that serves a mount unmount it. Where the mount is in use, everything written so far is brought to the host, and a second signal detaches the mount: it disappears from the directory tree at once and ends when its last user does.")
	p.section("Environment")
	p.item("`TZ`", "The time zone of the times on the disk, unless `tz=` or `time_offset=` is given.")
	p.item("`XDG_RUNTIME_DIR`", "Where the records of a user's mounts are kept, in the directory fatvol; by default /run/user/UID. Those of root are in /run/fatvol. `fatvol umount` reads them.")
	p.item("`XDG_STATE_HOME`", "Where a user's replay files are kept, in the directory fatvol; by default ~/.local/state. Those of root are in /var/lib/fatvol.")
	p.item("`NOTIFY_SOCKET`", "With `-f`, a service manager is told there when the mount is ready (see sd_notify(3)).")
	p.section("See also")
	p.paragraph("mount.fatvol(8), mount(8), umount(8), fsck.fat(8), fatattr(1), fstrim(8)")
	return p.String()
}

// mountPage is mount.fatvol(8).
func mountPage() string {
	p := newManPage("mount.fatvol", 8, "mount options of fatvol, and its helpers for mount(8)")
	p.section("Synopsis")
	p.synopsis("mount -t fatvol [-o options] IMAGE DIR")
	p.synopsis("fatvol mount [-o options] IMAGE DIR")
	p.synopsis("mount.fatvol IMAGE DIR [-sfnvrw] [-N namespace] [-o options] [-t type]")
	p.synopsis("umount.fatvol DIR [-flnrv] [-N namespace] [-t type]")
	p.section("Description")
	p.paragraph("fatvol mounts the FAT12, FAT16 or FAT32 volume in IMAGE, a file or a block device, on the directory DIR. Under the names `mount.fatvol` and `mount.fuse.fatvol` it is what mount(8) calls for the types fatvol and fuse.fatvol, and so for lines of fstab(5); as `umount.fatvol` and `umount.fuse.fatvol` what umount(8) calls, so that it waits until the image is complete. umount(8) calls it for mounts that were made with the option `helper=fatvol`, and with `-c`, which systemd uses; otherwise it unmounts by itself, and returns while the last of the volume may still be being written.")
	p.paragraph("Options mean what they mean to Linux's vfat. Of several that contradict each other, the last one counts. An unknown or malformed option is an error. A value that holds a comma is put between double quotes, or the comma behind a backslash.")
	p.section("Options")
	for _, g := range optionGroups {
		p.subsection(g.title)
		for _, o := range g.options {
			p.item(optionTerm(o), o.doc)
		}
	}
	p.section("When the medium goes")
	p.paragraph("While the medium with the image is not there, every operation on the mount fails with `EIO` at once, and nothing is asked of the medium. When something is at the path of IMAGE again, it is compared with what was there: serial number, boot sector, size, and every block of the FAT and of directories that is held in memory. If it is the same volume and nothing else has changed it, what had not reached the medium is written, and all open files go on. If it was changed elsewhere and nothing was unsynced, the mount goes on with the volume as it is, and files that were open answer errors. Otherwise the mount stays as it is, and `fatvol status` says why.")
	p.paragraph("Unmounting works in every state, and takes no longer than `iotimeout=` and two seconds. What is not on the medium then is kept in a replay file; the message says where, and the exit code is 32. The next mount of the volume verifies and applies it (see `replay=`), `fatvol replay` deals with it otherwise.")
	exitSection(p)
	p.section("Files")
	p.item("`/etc/fuse.conf`", "`user_allow_other` lets users other than root give `allow_other`.")
	p.item("`/run/fatvol`, `$XDG_RUNTIME_DIR/fatvol`", "Records of the mounts that are there, and the sockets by which `fatvol status` asks them.")
	p.item("`/var/lib/fatvol`, `$XDG_STATE_HOME/fatvol`, `~/.local/state/fatvol`", "Replay files: changes that could not be written because the medium was gone.")
	p.section("Examples")
	p.paragraph("In fstab(5):")
	p.example("/srv/card.img  /mnt/card  fatvol  noauto,user,helper=fatvol,umask=022,partition=1  0 0")
	p.paragraph("The second partition of an image, for one user, read-only:")
	p.example("mount -t fatvol -o ro,partition=2,uid=anna,gid=anna,umask=077 disk.img /mnt")
	p.section("See also")
	p.paragraph("fatvol(1), mount(8), umount(8), fstab(5), fuse(4), systemd.mount(5)")
	return p.String()
}

func exitSection(p *manPage) {
	p.section("Exit status")
	p.paragraph("As of mount(8) and umount(8):")
	for _, e := range []struct {
		code int
		doc  string
	}{
		{exitOK, "Done."},
		{exitUsage, "Wrong invocation, or not permitted."},
		{exitSystem, "System error: out of memory, no process could be started."},
		{exitBug, "A fault of fatvol."},
		{exitInterrupted, "Interrupted by the user."},
		{exitFailed, "The mount or the unmount failed, or something is not on the medium. The message says which, and where that is kept."},
	} {
		p.item(fmt.Sprintf("`%d`", e.code), e.doc)
	}
}

// availableCommands are the subcommands that help shows, but for cobra's own.
func availableCommands(root *cobra.Command) []*cobra.Command {
	var found []*cobra.Command
	for _, c := range root.Commands() {
		if c.IsAvailableCommand() && c.Name() != "help" && c.Name() != "completion" {
			found = append(found, c)
		}
	}
	return found
}

// leafCommands are those commands, and in the place of one that has subcommands these.
func leafCommands(root *cobra.Command) (leaves []*cobra.Command) {
	for _, c := range availableCommands(root) {
		if below := leafCommands(c); len(below) > 0 {
			leaves = append(leaves, below...)
		} else {
			leaves = append(leaves, c)
		}
	}
	return leaves
}

// useLine is a command's usage without cobra's "[flags]" where it has none of its own.
func useLine(c *cobra.Command) string {
	_, rest, _ := strings.Cut(c.Use, " ")
	words := []string{c.CommandPath()}
	if c.HasAvailableLocalFlags() {
		words = append(words, "[options]")
	}
	if rest != "" {
		words = append(words, rest)
	}
	return strings.Join(words, " ")
}

func longIfEmpty(c *cobra.Command) string {
	if c.Long == "" {
		return sentence(c.Short)
	}
	return ""
}

// sentence gives a phrase its capital and its full stop.
func sentence(phrase string) string {
	return strings.ToUpper(phrase[:1]) + phrase[1:] + "."
}

func flagTerm(f *pflag.Flag) string {
	value, _ := pflag.UnquoteUsage(f)
	term := "`--" + f.Name + "`"
	if f.Shorthand != "" {
		term = "`-" + f.Shorthand + "`, " + term
	}
	if value != "" {
		term += " " + value
	}
	return term
}

// optionTerm shows an option's name in bold, and what follows as it is.
func optionTerm(o option) string { return "`" + o.name + "`" + o.form }
