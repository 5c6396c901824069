package main

import (
	"cmp"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"fatvol/image"
)

// completeTime bounds a completion: the host of an image may hang, and nobody wants to wait for a tab.
const completeTime = 2 * time.Second

const (
	completeOn   = cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	completeDone = cobra.ShellCompDirectiveNoFileComp
)

// placesInImages completes what must be IMAGE:/PATH or IMAGE:PART:/PATH.
func placesInImages(cmd *cobra.Command, _ []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if found, directive, ok := placesIn(cmd, word); ok {
		return found, directive
	}
	return imagesOnHost(word), completeOn
}

// places completes what may be that, or a path of the host.
func places(cmd *cobra.Command, args []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if found, directive, ok := placesIn(cmd, word); ok {
		return found, directive
	}
	if len(volumesIn(word)) > 0 {
		return []cobra.Completion{word, word + ":/"}, completeOn
	}
	return files(cmd, args, word)
}

// volumeNames completes IMAGE or IMAGE:PART.
func volumeNames(cmd *cobra.Command, args []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if name, ok := beforeColon(word); ok {
		return volumesBehind(name, ""), completeDone
	}
	return files(cmd, args, word)
}

// placesIn completes a word that names an image already; ok is false if it does not.
func placesIn(cmd *cobra.Command, word string) (found []cobra.Completion, directive cobra.ShellCompDirective, ok bool) {
	if name, ok := beforeColon(word); ok {
		return append(volumesBehind(name, ":/"), name+":/"), completeOn, true
	}
	p, err := parsePlace(word)
	if err != nil || p.image == "" {
		return nil, 0, false
	}
	before := p.image + ":"
	if p.part != "" {
		before += p.part + ":"
	}
	dir, base := path.Split(strings.TrimPrefix(word, before))
	directive = completeDone
	for _, e := range listQuickly(cmd, inImage(word, p.image, p.part, dir)) {
		name := e.Name()
		if len(name) < len(base) || !strings.EqualFold(name[:len(base)], base) || strings.HasPrefix(name, ".") && base == "" {
			continue
		}
		if e.IsDir() {
			name += "/"
			directive = completeOn
		}
		found = append(found, before+dir+name)
	}
	return found, directive, true
}

// listQuickly lists a directory in an image: nothing if that fails, or takes too long.
func listQuickly(cmd *cobra.Command, dir place) []os.DirEntry {
	options, _ := cmd.Flags().GetStringArray("options")
	cfg, err := parseMountOptions(currentCaller(), options, false)
	if err != nil {
		return nil
	}
	return quickly(func() []os.DirEntry {
		v := volumes{cfg: cfg}
		v.plan(dir, false)
		defer v.close() // it was only read
		l, err := v.at(dir)
		if err != nil {
			return nil
		}
		entries, _ := l.tree.ReadDir(l.name)
		return entries
	})
}

// quickly is what find returns, or nothing if it does not do so soon.
func quickly[T any](find func() []T) []T {
	found := make(chan []T, 1)
	go func() { found <- find() }()
	select {
	case list := <-found:
		return list
	case <-time.After(completeTime):
		return nil
	}
}

// beforeColon is the image in a word that goes on with the beginning of a partition's name, or with nothing.
func beforeColon(word string) (name string, ok bool) {
	i := strings.LastIndexByte(word, ':')
	if i <= 0 || strings.Contains(word[i:], "/") || !isImageFile(word[:i]) {
		return "", false
	}
	return word[:i], true
}

// volumesBehind names the partitions of an image that hold FAT volumes, with something behind each.
func volumesBehind(name, after string) (found []cobra.Completion) {
	for _, p := range volumesIn(name) {
		if p.Number > 0 {
			found = append(found, cobra.CompletionWithDesc(name+":"+strconv.Itoa(p.Number)+after, volumeTitle(&p)))
		}
	}
	return found
}

// volumeTitle is what a volume is, in a few words.
func volumeTitle(p *image.Partition) string {
	return strings.TrimSpace(p.Content.Kind + " " + printable(p.Content.Label))
}

// volumesIn are the FAT volumes of an image, if it is one.
func volumesIn(name string) []image.Partition {
	if !isImageFile(name) {
		return nil
	}
	return quickly(func() (found []image.Partition) {
		host, _, err := image.OpenHost(name, image.OpenOptions{ReadOnly: true, NoLock: true})
		if err != nil {
			return nil
		}
		defer host.Close()
		layout, err := image.Scan(host)
		if err != nil {
			return nil
		}
		for _, p := range layout.Partitions {
			if p.Content.IsFAT() {
				found = append(found, p)
			}
		}
		return found
	})
}

// imagesOnHost are files that may be images, as they begin a place, and the directories on the way to them.
func imagesOnHost(word string) (found []cobra.Completion) {
	dir, base := filepath.Split(word)
	entries := quickly(func() []os.DirEntry {
		entries, _ := os.ReadDir(cmp.Or(dir, ".")) // what could be read of it
		return entries
	})
	for _, e := range entries {
		name := e.Name()
		if !strings.HasPrefix(name, base) || strings.HasPrefix(name, ".") && base == "" {
			continue
		}
		switch st, err := os.Stat(dir + name); {
		case err != nil:
		case st.IsDir():
			found = append(found, dir+name+"/")
		case st.Mode().IsRegular(), st.Mode().Type() == os.ModeDevice: // of blocks
			found = append(found, dir+name+":/")
		}
	}
	return found
}
