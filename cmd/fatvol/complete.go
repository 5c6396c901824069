package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/moby/sys/mountinfo"
	"github.com/spf13/cobra"
)

// Words of usage lines that say what an argument is, and how a shell completes it. Anything else is
// the path of a file.
var argumentKinds = map[string]cobra.CompletionFunc{
	"DIR":         directories,
	"MOUNT":       mountPoints,
	"REPLAY-FILE": replayFiles,
	"VOLUME":      volumeNames,
	"PLACE":       places,
	"IN-IMAGE":    placesInImages,
}

// placeCommands are those whose every argument is a place, by whether it must be in an image.
var placeCommands = map[string]string{
	"ls": "IN-IMAGE", "cat": "IN-IMAGE", "rm": "IN-IMAGE", "mkdir": "IN-IMAGE", "attr": "IN-IMAGE",
	"cp": "PLACE", "mv": "PLACE",
}

// addCompletions tells cobra how arguments and mount options of every command are completed in a shell.
func addCompletions(root *cobra.Command) {
	for _, c := range leafCommands(root) {
		kinds, repeats := completedArguments(c)
		c.ValidArgsFunction = func(cmd *cobra.Command, args []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
			i := len(args)
			if repeats {
				i = min(i, len(kinds)-1)
			}
			if i >= len(kinds) {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return kinds[i](cmd, args, word)
		}
		if c.Flags().Lookup("options") != nil {
			// Its error is that of a flag that is not there.
			_ = c.RegisterFlagCompletionFunc("options", mountOptions)
		}
	}
}

// completedArguments reads from a usage line what each argument is, and whether there may be any number of
// the last. Some words mean more than they say.
func completedArguments(c *cobra.Command) (kinds []cobra.CompletionFunc, repeats bool) {
	for word := range strings.FieldsSeq(argumentsOf(c)) {
		word = strings.Trim(word, "[]")
		word, more := strings.CutSuffix(word, "...")
		repeats = repeats || more
		switch {
		case placeCommands[c.Name()] != "":
			word = placeCommands[c.Name()]
		case word == "IMAGE[:PART":
			word = "VOLUME"
		case word == "DIR" && (c.Name() == "umount" || c.Name() == "status"):
			word = "MOUNT"
		case word == "FILE" && c.Parent().Name() == "replay":
			word = "REPLAY-FILE"
		}
		kind, ok := argumentKinds[word]
		if !ok {
			kind = files
		}
		kinds = append(kinds, kind)
	}
	return kinds, repeats
}

func files(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveDefault
}

func directories(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveFilterDirs
}

// mountPoints are where fatvol has something mounted, as paths like the one that was begun.
func mountPoints(_ *cobra.Command, _ []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
	infos, err := mountinfo.GetMounts(func(m *mountinfo.Info) (skip, stop bool) { return m.FSType != fuseType, false })
	if err != nil {
		return nil, cobra.ShellCompDirectiveFilterDirs
	}
	here, err := os.Getwd()
	relative := err == nil && word != "" && !filepath.IsAbs(word)
	var dirs []cobra.Completion
	for _, m := range infos {
		dir := m.Mountpoint
		if relative {
			if dir, err = filepath.Rel(here, dir); err != nil {
				continue
			}
			if strings.HasPrefix(word, "./") {
				dir = "./" + dir
			}
		}
		dirs = append(dirs, cobra.CompletionWithDesc(dir, m.Source))
	}
	return dirs, cobra.ShellCompDirectiveNoFileComp
}

// replayFiles are the names that `fatvol replay list` shows.
func replayFiles(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	dir, err := stateDir()
	if err != nil {
		return nil, cobra.ShellCompDirectiveDefault
	}
	paths, _ := filepath.Glob(filepath.Join(dir, "*"+replaySuffix))
	var names []cobra.Completion
	for _, path := range paths {
		names = append(names, strings.TrimSuffix(filepath.Base(path), replaySuffix))
	}
	return names, cobra.ShellCompDirectiveDefault
}

// mountOptions completes the last option of a list. The values of partition= are those of the image,
// where that has been given.
func mountOptions(_ *cobra.Command, args []string, list string) ([]cobra.Completion, cobra.ShellCompDirective) {
	const directive = cobra.ShellCompDirectiveNoSpace | cobra.ShellCompDirectiveNoFileComp
	last := strings.LastIndexByte(list, ',') + 1
	before, word := list[:last], list[last:]
	if strings.HasPrefix(word, "partition=") {
		return partitions(before, args), directive
	}
	var found []cobra.Completion
	for _, g := range optionGroups[:len(optionGroups)-1] { // the last are those without an effect
		for _, o := range g.options {
			if !strings.HasPrefix(o.name, word) {
				continue
			}
			name := o.name
			if strings.HasPrefix(o.form, "=") {
				name += "="
			}
			found = append(found, cobra.CompletionWithDesc(before+name, firstSentence(o.doc)))
		}
	}
	return found, directive
}

// partitions are the FAT volumes in the image that the command line names.
func partitions(before string, args []string) (found []cobra.Completion) {
	if len(args) == 0 {
		return nil
	}
	for _, p := range volumesIn(args[0]) {
		if p.Number > 0 {
			found = append(found, cobra.CompletionWithDesc(before+"partition="+strconv.Itoa(p.Number), volumeTitle(&p)))
		}
	}
	return found
}

// firstSentence is the beginning of an option's description.
func firstSentence(doc string) string {
	first, _, _ := strings.Cut(strings.ReplaceAll(doc, "`", ""), ". ")
	return strings.TrimSuffix(first, ".")
}
