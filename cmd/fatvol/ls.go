package main

import (
	"encoding/json"
	"fmt"
	iofs "io/fs"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"fatvol/image/fat"
)

func lsCommand() *cobra.Command {
	s := lister{}
	cmd := &cobra.Command{
		Use:   "ls [FILE...]",
		Short: "List files in images",
		Long: "Lists files, and of directories what is in them, sorted by name. IMAGE alone is its root directory.\n" +
			"Hidden and system files, and names that begin with a dot, are listed with -a only.\n\n" + pathSyntax,
		Example: "  fatvol ls disk.img\n" +
			"  fatvol ls -l 'disk.img:2:/logs/*.txt'\n" +
			"  fatvol ls --json -aR disk.img:/ | jq -r 'select(.size > 1000000).path'",
		Args: atLeast(1, "IMAGE or FILE"),
	}
	f := cmd.Flags()
	f.BoolVarP(&s.long, "long", "l", false, "with attributes, size, time of modification and 8.3 name")
	f.BoolVarP(&s.all, "all", "a", false, "also what is hidden")
	f.BoolVarP(&s.recursive, "recursive", "R", false, "also what is in directories below")
	f.BoolVarP(&s.self, "directory", "d", false, "directories themselves, not what is in them")
	f.BoolVar(&s.json, "json", false, "one JSON object to a line for each file")
	return fileCommand(cmd, func(j *job, args []string) error {
		s := s
		s.job = j
		found, err := j.onVolumes(args, false)
		s.list(found)
		return err
	})
}

// A lister prints listings.
type lister struct {
	*job
	long, all, recursive, self, json bool

	said   bool // something was printed: a blank line comes before the next directory
	titles bool
}

// A listed is what is told of a file; it is also the JSON form.
type listed struct {
	Path       string     `json:"path"` // in the volume, from the root
	Type       string     `json:"type"` // file, dir
	Size       int64      `json:"size"` // bytes; of a directory 0
	Attributes string     `json:"attributes"`
	Short      string     `json:"short_name"`
	Modified   time.Time  `json:"modified"`
	Accessed   *time.Time `json:"accessed,omitempty"` // a day; absent where it is not known
	Created    *time.Time `json:"created,omitempty"`

	name  string
	isDir bool
}

// list prints files first, then directories, as ls(1) does.
func (s *lister) list(found []location) {
	s.titles = len(found) > 1 || s.recursive
	var files []listed
	var dirs []location
	for _, l := range found {
		info, err := l.tree.Stat(l.name)
		if err != nil {
			s.failAt(l, err)
			continue
		}
		if info.IsDir() && !s.self {
			dirs = append(dirs, l)
			continue
		}
		if e, ok := s.describe(l, info); ok {
			e.name = l.String()
			files = append(files, e)
		}
	}
	s.print(files)
	for _, l := range dirs {
		s.listDir(l)
	}
}

func (s *lister) listDir(l location) {
	if s.ctx.Err() != nil {
		return
	}
	entries, err := l.tree.ReadDir(l.name)
	if err != nil {
		s.failAt(l, err)
		return
	}
	var list []listed
	var below []location
	for _, e := range entries {
		c := l.child(e.Name())
		info, err := e.Info()
		if err != nil {
			s.failAt(c, err)
			continue
		}
		d, ok := s.describe(c, info)
		if !ok || !s.all && isHidden(d, info) {
			continue
		}
		list = append(list, d)
		if s.recursive && e.IsDir() {
			below = append(below, c)
		}
	}
	if s.titles && !s.json {
		if s.said {
			fmt.Fprintln(s.out)
		}
		fmt.Fprintf(s.out, "%s:\n", l)
		s.said = true
	}
	s.print(list)
	for _, c := range below {
		s.listDir(c)
	}
}

func isHidden(d listed, info iofs.FileInfo) bool {
	return strings.HasPrefix(info.Name(), ".") || strings.ContainsAny(d.Attributes, "HS")
}

// describe collects what is told of a file; ok is false where that failed, which is said.
func (s *lister) describe(l location, info iofs.FileInfo) (d listed, ok bool) {
	v, _ := l.onVolume()
	x, err := v.describe(l.name, info)
	if err != nil {
		s.failAt(l, err)
		return d, false
	}
	d = listed{
		Path: "/", Type: "file", Size: info.Size(), Attributes: x.attributes.String(), Short: x.short,
		Modified: info.ModTime(), Accessed: known(x.accessed), Created: known(x.created),
		name: printable(info.Name()), isDir: info.IsDir(),
	}
	if l.name != "." {
		d.Path = "/" + l.name
	}
	if d.isDir {
		d.Type, d.Size = "dir", 0
		d.name += "/"
	}
	return d, true
}

func known(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func (s *lister) print(list []listed) {
	if len(list) > 0 {
		s.said = true
	}
	switch {
	case s.json:
		e := json.NewEncoder(s.out)
		for _, d := range list {
			_ = e.Encode(d) // an error of the output comes up when the job ends
		}
	case s.long:
		wide := 1
		for _, d := range list {
			wide = max(wide, len(sizeColumn(d)))
		}
		for _, d := range list {
			a, _ := fat.ParseAttributes(d.Attributes)
			fmt.Fprintf(s.out, "%s  %*s  %s  %-12s  %s\n", attributeColumn(a), wide, sizeColumn(d),
				d.Modified.Local().Format(time.DateTime), printable(d.Short), d.name)
		}
	default:
		for _, d := range list {
			fmt.Fprintln(s.out, d.name)
		}
	}
}

// sizeColumn is the size of a file in bytes; directories have none.
func sizeColumn(d listed) string {
	if d.isDir {
		return "-"
	}
	return fmt.Sprint(d.Size)
}
