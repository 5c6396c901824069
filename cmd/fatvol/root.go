package main

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

func rootCommand() *cobra.Command {
	var showVersion bool
	root := &cobra.Command{
		Use:   "fatvol",
		Short: "Mount the FAT volume inside a file",
		Long: "fatvol mounts the FAT12, FAT16 or FAT32 volume inside a file (a disk image, a partition\n" +
			"in one, or a block device) as a file system that can be read and written.",
		Example: "  fatvol mount disk.img /mnt          mount the FAT volume in disk.img\n" +
			"  fatvol mount disk.img /mnt -o ro    the same, for reading only\n" +
			"  fatvol umount /mnt                  unmount, once disk.img is complete\n" +
			"  fatvol info disk.img                show partitions and volumes\n" +
			"  fatvol cp -r photos disk.img:/      copy into it, without a mount",
		Args: subcommandOnly,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if showVersion {
				return printVersion(cmd)
			}
			return cmd.Help()
		},
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
	}
	root.Flags().BoolVarP(&showVersion, "version", "v", false, "version for fatvol") // cobra's own says its errors itself
	cobra.EnableCommandSorting = false
	cobra.AddTemplateFunc("plainFlags", plainFlags)
	root.SetUsageTemplate(strings.ReplaceAll(root.UsageTemplate(), ".FlagUsages", ".FlagUsages | plainFlags"))
	for _, g := range commandGroups() {
		root.AddGroup(&cobra.Group{ID: g.title, Title: g.title + ":"})
		for _, c := range g.commands {
			c.GroupID = g.title
			root.AddCommand(c)
		}
	}
	root.AddCommand(versionCommand(), manCommand(), unmounterCommand(), searchCommand())
	root.AddCommand(execInternals()...)
	addCompletions(root)
	root.InitDefaultHelpCmd()
	if help, _, err := root.Find([]string{"help"}); err == nil {
		help.Args = func(_ *cobra.Command, topic []string) error {
			if c, _, err := root.Find(topic); len(topic) > 0 && (err != nil || c == root) {
				return unknownCommand(root, topic[0])
			}
			return nil
		}
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		if cmd == root {
			return failf(exitUsage, "%w: see 'fatvol --help'", err)
		}
		return failf(exitUsage, "%s: %w: see '%s --help'", nameOf(cmd), err, cmd.CommandPath())
	})
	return root
}

// helpReported has the help of root and its commands remember that it could not be written, which cobra does not. The
// error is known once a command has run.
func helpReported(root *cobra.Command) (unwritten func() error) {
	var told reporter
	show := root.HelpFunc()
	root.SetHelpFunc(func(cmd *cobra.Command, args []string) {
		told.w = cmd.OutOrStdout()
		cmd.SetOut(&told)
		show(cmd, args)
	})
	return func() error { return told.err }
}

// A commandGroup is a section of the help.
type commandGroup struct {
	title    string
	commands []*cobra.Command
}

func commandGroups() []commandGroup {
	return []commandGroup{
		{"Mounts", []*cobra.Command{mountCommand(), umountCommand(), execCommand(), statusCommand(), replayCommand()}},
		{"Images", []*cobra.Command{createCommand(), infoCommand(), checkCommand(), defragCommand(), resizeCommand()}},
		{"Files in images, without a mount", []*cobra.Command{
			lsCommand(), catCommand(), cpCommand(), mvCommand(), rmCommand(), mkdirCommand(), attrCommand(), labelCommand(),
		}},
		{"On the desktop", []*cobra.Command{automountCommand(), openCommand(), ejectCommand()}},
	}
}

// optionalValue is how pflag shows a flag whose value may be left out, as in `--map file[="-"]`.
var optionalValue = regexp.MustCompile(` (\w+)\[="[^"]*"\]`)

// plainFlags takes the "[=true|false]" of pflag's switches out of a help text, shows a value that may be left out
// as it has to be given, `--map[=file]`, and keeps the columns.
func plainFlags(usages string) string {
	const noise = "[=true|false]"
	usages = strings.ReplaceAll(usages, noise, strings.Repeat(" ", len(noise)))
	return optionalValue.ReplaceAllStringFunc(usages, func(old string) string {
		return fmt.Sprintf("%-*s", len(old), "[="+optionalValue.FindStringSubmatch(old)[1]+"]")
	})
}

// subcommandOnly refuses the arguments of a command that has only others below it: they name none of these.
func subcommandOnly(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return unknownCommand(cmd, args[0])
}

func unknownCommand(root *cobra.Command, word string) error {
	var names []string
	for _, c := range root.Commands() {
		if c.IsAvailableCommand() {
			names = append(names, c.Name())
		}
	}
	if near := nearest(word, names); len(near) > 0 {
		return failf(exitUsage, "unknown command %q: did you mean %s?", word, orList(near))
	}
	return failf(exitUsage, "unknown command %q: there are %s", word, strings.Join(names, ", "))
}

// isFUSEStyle reports whether the arguments are those of a FUSE file system's own program, an
// image and a directory, rather than one of our commands.
func isFUSEStyle(commands []*cobra.Command, args []string) bool {
	if len(args) < 2 || strings.HasPrefix(args[0], "-") || strings.HasPrefix(args[1], "-") {
		return false
	}
	if slices.ContainsFunc(commands, func(c *cobra.Command) bool { return c.Name() == args[0] || c.HasAlias(args[0]) }) {
		return false
	}
	if args[0] == "help" || args[0] == "completion" || strings.HasPrefix(args[0], "__") {
		return false
	}
	_, err := os.Lstat(args[0])
	return err == nil || strings.Contains(args[0], "/")
}

// complain tells the user something on standard error.
func complain(format string, args ...any) { tell(os.Stderr, format, args...) }
