package main

import (
	"fmt"
	"slices"
	"strings"
)

// An option is one of the mount options that follow -o. The parser, the manual page and the help
// all read the same tables of these.
type option struct {
	name string
	value
	// doc says what the option does, in whole sentences; `x` stands out in the manual page.
	doc string
}

// A value says what follows an option's name and what it does to the configuration.
type value struct {
	// form is how the manual shows what follows the name: "" or "=OCTAL" or "[=BOOL]".
	form string
	// set applies the option. text is what follows the '='; has tells "name=" from "name".
	set func(c *config, text string, has bool) error
}

// optionGroup is a section of the manual page.
type optionGroup struct {
	title   string
	options []option
}

// optionGroups are all the options there are, in the order of the manual page.
var optionGroups = []optionGroup{
	{"Finding the volume", volumeOptions},
	{"Owners and permissions", permissionOptions},
	{"Names", nameOptions},
	{"Times", timeOptions},
	{"Writing and errors", writeOptions},
	{"A medium that goes and comes back", mediumOptions},
	{"FAT variants", variantOptions},
	{"Generic options", genericOptions},
	{"Options for macOS, without effect elsewhere", macOptions},
	{"Options that have no effect", ignoredOptions},
}

// optionIndex finds an option by its name.
var optionIndex = func() map[string]*option {
	index := map[string]*option{}
	for _, g := range optionGroups {
		for i := range g.options {
			index[g.options[i].name] = &g.options[i]
		}
	}
	return index
}()

// An optionError is a mount option that cannot be honoured.
type optionError struct {
	option string // as written: "name" or "name=value"
	reason string
}

func (e *optionError) Error() string { return fmt.Sprintf("option %q: %s", e.option, e.reason) }

// apply applies a comma-separated list of mount options in order, so that the last of several
// that contradict each other wins, as with mount(8). With sloppy, an unknown option is a warning.
func (c *config) apply(list string, sloppy bool) error {
	words, err := splitOptions(list)
	if err != nil {
		return err
	}
	for _, word := range words {
		name, text, has := strings.Cut(word, "=")
		o := optionIndex[name]
		switch {
		case o != nil:
			if err := o.set(c, unquote(text), has); err != nil {
				return &optionError{word, err.Error()}
			}
		case strings.HasPrefix(name, "x-"):
			// For programs that read the mount table, or fstab: gvfs, udisks, systemd.
			if !strings.ContainsAny(word, `,\\`) { // which fusermount3 could not tell from two options
				c.fs.UserOptions = append(c.fs.UserOptions, word)
			}
		case strings.HasPrefix(name, "X-"):
			// For programs that read fstab.
		case sloppy:
			c.warn("option %q: unknown, ignored", word)
		default:
			return &optionError{word, unknownReason(name)}
		}
	}
	return nil
}

// splitOptions splits at commas. A comma within double quotes, or after a backslash, is part of
// the value; a backslash stands for itself before anything but a comma or a backslash.
func splitOptions(list string) ([]string, error) {
	var words []string
	var word strings.Builder
	quoted := false
	end := func() {
		if word.Len() > 0 {
			words = append(words, word.String())
			word.Reset()
		}
	}
	for i := 0; i < len(list); i++ {
		c := list[i]
		switch {
		case c == '\\' && i+1 < len(list) && (list[i+1] == ',' || list[i+1] == '\\'):
			i++
			word.WriteByte(list[i])
		case c == ',' && !quoted:
			end()
		case c == '"':
			quoted = !quoted
			word.WriteByte(c)
		default:
			word.WriteByte(c)
		}
	}
	if quoted {
		return nil, &optionError{word.String(), `a closing " is missing`}
	}
	end()
	return words, nil
}

// unquote removes the double quotes around a whole value.
func unquote(text string) string {
	if len(text) >= 2 && text[0] == '"' && text[len(text)-1] == '"' {
		return text[1 : len(text)-1]
	}
	return text
}

// knownElsewhere are options that people know from related file systems, with what to do here.
var knownElsewhere = map[string]string{
	"dots":         "is an option of msdos mounts only: leave it out",
	"nodots":       "is an option of msdos mounts only: leave it out",
	"dotsOK":       "is an option of msdos mounts only: leave it out",
	"remount":      "not supported: unmount, and mount again with the new options",
	"bind":         "not an option of this file system: use mount --bind on the mounted directory",
	"auto_unmount": "not supported: use 'fatvol umount DIR' to free a directory whose server has died",
}

func unknownReason(name string) string {
	if why, ok := knownElsewhere[name]; ok {
		return why
	}
	if near := nearest(name, optionNames()); len(near) > 0 {
		return "unknown; did you mean " + orList(near) + "?"
	}
	return "unknown; 'fatvol mount -o help' lists all options"
}

// optionNames lists the names of all options in alphabetical order.
func optionNames() []string {
	names := make([]string, 0, len(optionIndex))
	for name := range optionIndex {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// orList joins words as in "a, b or c".
func orList(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}
