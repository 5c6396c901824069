package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
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
	pages := map[string]string{
		"fatvol.1":       overviewPage(root),
		"mount.fatvol.8": mountPage(),
	}
	for _, c := range availableCommands(root) {
		pages[pageName(c)+".1"] = commandPage(c)
	}
	return pages
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
