package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
)

// pathSyntax is the part of the help that the commands share which take paths in images.
const pathSyntax = "IMAGE:/PATH is a path in the only FAT volume of IMAGE, IMAGE:PART:/PATH one in the volume that the\n" +
	"number, label or UUID PART means. Names match in any case of letters; *, ? and [...] are understood\n" +
	"in them, and are to be kept from the shell with quotes. The image is locked while the command runs;\n" +
	"where fatvol has it mounted, the command works through that mount. A name of the host that holds\n" +
	"\":/\" is safe: an image is only what is there as a file before it."

func cpCommand() *cobra.Command {
	c := copier{}
	var quiet bool
	cmd := &cobra.Command{
		Use:   "cp SOURCE... TARGET",
		Short: "Copy files into, out of and between images",
		Long: "Copies files: TARGET is a name for the only SOURCE, or a directory. Each is a path in an image\n" +
			"or of the host, and one of them is in an image; - is standard input or output. Times are kept,\n" +
			"between volumes attributes too. A file that is replaced is the old one or the new one, whole,\n" +
			"whatever fails: there must be room for both. What cannot be copied is said, everything else is\n" +
			"copied, and the exit code is 1 then.\n\n" + pathSyntax,
		Example: "  fatvol cp notes.txt disk.img:/\n" +
			"  fatvol cp -r photos disk.img:BOOT:/backup\n" +
			"  fatvol cp 'disk.img:/logs/*.txt' .\n" +
			"  fatvol cp -r old.img:/ new.img:/\n" +
			"  tar c src | fatvol cp - disk.img:/src.tar",
		Args: atLeast(2, "SOURCE and TARGET"),
	}
	f := cmd.Flags()
	f.BoolVarP(&c.recursive, "recursive", "r", false, "copy directories with all that is in them")
	f.BoolVarP(&c.follow, "dereference", "L", false, "copy what symbolic links in directories lead to, instead of failing at them")
	f.BoolVarP(&c.noClobber, "no-clobber", "n", false, "replace nothing")
	f.BoolVarP(&c.verbose, "verbose", "v", false, "name each file that is copied")
	f.BoolVarP(&quiet, "quiet", "q", false, "show no progress")
	return fileCommand(cmd, func(j *job, args []string) error {
		c := c
		c.job = j
		sources, target, err := c.open(args, false)
		if err != nil {
			return err
		}
		if !quiet {
			c.progress = c.tell(sources)
			defer c.progress.close()
		}
		return c.each(sources, target, func(src, dst location) { c.copy(src, dst) })
	})
}

// open opens what the arguments of cp and mv name. The sources are written to as well where they are moved.
func (c *copier) open(args []string, move bool) (sources []location, target location, err error) {
	places, err := parsePlaces(args)
	if err != nil {
		return nil, target, err
	}
	last := len(places) - 1
	if err := checkPlaces(places, move); err != nil {
		return nil, target, err
	}
	for i, p := range places {
		c.vols.plan(p, i == last || move)
	}
	if target, err = c.vols.at(places[last]); err != nil {
		return nil, target, err
	}
	if places[last].stream {
		target.tree = streamTree{c.out}
	}
	if places[last].isDir && !isDirectory(target) {
		if places[last].image == "" {
			return nil, target, fmt.Errorf("%s: no such directory", target)
		}
		return nil, target, fmt.Errorf("%s: no such directory: 'fatvol mkdir' makes one in an image", target)
	}
	for _, p := range places[:last] {
		if p.stream {
			sources = append(sources, location{tree: streamTree{}, name: p.path})
		} else {
			sources = append(sources, c.locate([]place{p})...)
		}
	}
	return sources, target, nil
}

// checkPlaces refuses what makes no sense, or is the business of other programs.
func checkPlaces(places []place, move bool) error {
	images := 0
	for i, p := range places {
		if p.image != "" {
			images++
		}
		if p.stream && move {
			return errors.New("- cannot be moved: 'fatvol cp' copies it")
		}
		if p.stream && i < len(places)-1 && len(places) > 2 {
			return errors.New("- is one file, and cannot be copied together with others")
		}
	}
	if images == 0 {
		return errors.New("nothing is in an image: IMAGE:/PATH or IMAGE:PART:/PATH is expected, cp(1) and mv(1) do the rest")
	}
	return nil
}

// each calls do with each source and what it is to be called: target, or target's child if that is a
// directory.
func (c *copier) each(sources []location, target location, do func(src, dst location)) error {
	intoDir := isDirectory(target)
	_, toStream := target.tree.(streamTree)
	if len(sources) > 1 && !intoDir && !toStream {
		return fmt.Errorf("%s: not a directory, and there are %d sources", target, len(sources))
	}
	for _, src := range sources {
		if c.ctx.Err() != nil {
			return nil
		}
		dst := target
		if _, fromStream := src.tree.(streamTree); fromStream && intoDir {
			return fmt.Errorf("%s: is a directory, and standard input has no name to be called there", target)
		}
		// The root of a volume has no name, nor has ".": all that is in it goes right into the directory.
		if intoDir && src.base() != "" {
			dst = target.child(storedName(src))
		}
		do(src, dst)
	}
	return nil
}

// storedName is the last element of a name, on a volume as it is stored there.
func storedName(l location) string {
	if v, ok := l.onVolume(); ok {
		if info, err := v.Stat(l.name); err == nil {
			return info.Name()
		}
	}
	return l.base()
}

// tell shows the progress of copying the sources. How much there is takes a look at all of it, which is
// worth it where there is a bar to show.
func (c *copier) tell(sources []location) *progress {
	var total int64
	if isTerminal(os.Stderr) {
		for _, src := range sources {
			total += c.measure(src)
		}
	}
	return startProgress(os.Stderr, c.name, total)
}

func isDirectory(l location) bool {
	info, err := l.tree.Stat(l.name)
	return err == nil && info.IsDir()
}
