package main

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// overviewPage is fatvol(1).
func overviewPage(root *cobra.Command) string {
	p := newManPage("fatvol", 1, "mount the FAT volume inside a file")
	p.section("Synopsis")
	p.synopsis("fatvol COMMAND [options] [arguments]")
	p.section("Description")
	p.paragraph(root.Long)
	p.paragraph("Names are kept and shown with their long forms, files can be of up to 4 GiB less one byte, and what is written is ordered so that the volume can be used after a loss of power at any moment. Any number of mounts can be there at once; each image only once, unless all its mounts are read-only.")
	p.section("Commands")
	for _, c := range availableCommands(root) {
		p.item("`"+pageName(c)+"`(1)", sentence(c.Short))
	}
	p.section("Examples")
	p.example(root.Example)
	exitSection(p)
	p.paragraph("The commands on files in images return 1 as well when there was something that they could not do, and did the rest. `fatvol-check`(1) and `fatvol-exec`(1) have codes of their own.")
	p.section("Signals")
	p.paragraph("`SIGTERM` and `SIGINT`, and in the foreground `SIGHUP`, make the process that serves a mount unmount it. Where the mount is in use, everything written so far is brought to the host, and a second signal detaches the mount: it disappears from the directory tree at once and ends when its last user does.")
	p.paragraph("`create`, `defrag`, `resize`, and the commands on files in images end in good order with the first `SIGINT`, `SIGTERM` or `SIGHUP`, and say what is left; a second `SIGINT` or `SIGTERM` ends them where they stand. Interrupts and hang-ups that are ignored when fatvol is started, as under nohup(1), stay ignored.")
	p.section("Environment")
	p.item("`TZ`", "The time zone of the times on the disk, unless `tz=` or `time_offset=` is given.")
	p.item("`XDG_RUNTIME_DIR`", "Where the records of a user's mounts are kept, in the directory fatvol; by default /run/user/UID, and where that is missing, fatvol-UID in the directory for temporary files. Those of root are in /run/fatvol. `fatvol umount` reads them.")
	p.item("`XDG_STATE_HOME`", "Where a user's replay files are kept, in the directory fatvol; by default ~/.local/state. Those of root are in /var/lib/fatvol.")
	p.item("`NOTIFY_SOCKET`", "With `fatvol mount -f`, a service manager is told there when the mount is ready (see sd_notify(3)).")
	p.section("See also")
	p.paragraph("mount.fatvol(8), mount(8), umount(8), fsck.fat(8), fatattr(1), fstrim(8)")
	return p.String()
}

// commandPage is the page of a command, which covers its subcommands where it has some.
func commandPage(c *cobra.Command) string {
	p := newManPage(pageName(c), 1, lowerFirst(c.Short))
	leaves := leafCommands(c)
	p.section("Synopsis")
	for _, leaf := range leaves {
		p.synopsis(useLine(leaf))
	}
	p.section("Description")
	p.paragraphs(c.Long + shortIfNoLong(c))
	if len(leaves) == 1 && leaves[0] == c {
		if c.HasAvailableLocalFlags() {
			p.section("Options")
			flagItems(p, c)
		}
	} else {
		p.section("Commands")
		for _, leaf := range leaves {
			p.subsection(useLine(leaf))
			p.paragraphs(leaf.Long + shortIfNoLong(leaf))
			flagItems(p, leaf)
		}
	}
	if c.Example != "" {
		p.section("Examples")
		p.example(c.Example)
	}
	p.section("See also")
	p.paragraph("fatvol(1), mount.fatvol(8)")
	return p.String()
}

// flagItems lists a command's own flags.
func flagItems(p *manPage, c *cobra.Command) {
	c.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden && f.Name != "help" {
			p.item(flagTerm(f), sentence(strings.ReplaceAll(f.Usage, "`", ""))+flagDefault(f))
		}
	})
}

// flagDefault says what a flag is by default, as the help does: of switches, lists and empty values nothing.
func flagDefault(f *pflag.Flag) string {
	switch f.DefValue {
	case "", "0", "false", "[]":
		return ""
	}
	return " The default is " + f.DefValue + "."
}

// pageName is "fatvol-mount" for the command that is called as "fatvol mount".
func pageName(c *cobra.Command) string { return strings.ReplaceAll(c.CommandPath(), " ", "-") }

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

// leafCommands are the commands below c that have none below them; c itself if it has none.
func leafCommands(c *cobra.Command) (leaves []*cobra.Command) {
	for _, sub := range availableCommands(c) {
		leaves = append(leaves, leafCommands(sub)...)
	}
	if len(leaves) == 0 {
		leaves = append(leaves, c)
	}
	return leaves
}

// useLine is a command's usage without cobra's "[flags]" where it has none of its own.
func useLine(c *cobra.Command) string {
	rest := argumentsOf(c)
	words := []string{c.CommandPath()}
	if c.HasAvailableLocalFlags() {
		words = append(words, "[options]")
	}
	if rest != "" {
		words = append(words, rest)
	}
	return strings.Join(words, " ")
}

// argumentsOf are the arguments in a command's usage, without the flags that stand before them where their place matters.
func argumentsOf(c *cobra.Command) string {
	_, rest, _ := strings.Cut(c.Use, " ")
	return strings.TrimPrefix(rest, "[flags] ")
}

func shortIfNoLong(c *cobra.Command) string {
	if c.Long == "" {
		return sentence(c.Short)
	}
	return ""
}

// lowerFirst is a phrase as the middle of a line, as the names of manual pages are listed.
func lowerFirst(phrase string) string {
	if len(phrase) > 1 && phrase[1] >= 'A' && phrase[1] <= 'Z' {
		return phrase // an abbreviation
	}
	return strings.ToLower(phrase[:1]) + phrase[1:]
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
	switch {
	case value != "" && f.NoOptDefVal != "" && f.Value.Type() != "bool":
		term += "[=" + value + "]" // not as a word of its own
	case value != "":
		term += " " + value
	}
	return term
}

// optionTerm shows an option's name in bold, and what follows as it is.
func optionTerm(o option) string { return "`" + o.name + "`" + o.form }
