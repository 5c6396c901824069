package main

import (
	"fmt"
	iofs "io/fs"
	"path"
	"slices"
	"strings"

	"golang.org/x/text/unicode/norm"
)

// expand returns what a location's name means as a pattern of path.Match, sorted; names of volumes match in
// any case of letters. A name that is there as it stands is no pattern, and those of the host are the
// shell's to expand.
func expand(l location) ([]location, error) {
	v, ok := l.onVolume()
	if !ok || !strings.ContainsAny(l.name, `*?[`) {
		return []location{l}, nil
	}
	if _, err := v.Stat(l.name); err == nil {
		return []location{l}, nil
	}
	elems := strings.Split(l.name, "/")
	for _, elem := range elems {
		if _, err := path.Match(elem, ""); err != nil {
			return nil, fmt.Errorf("%w: a '[' that begins no set is written '[[]'", err)
		}
	}
	root := l
	root.name = "."
	found := []location{root}
	for i, elem := range elems {
		var next []location
		for _, dir := range found {
			list, err := matchIn(v, dir, elem, i < len(elems)-1)
			if err != nil {
				return nil, err
			}
			next = append(next, list...)
		}
		found = next
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("nothing matches: %w", iofs.ErrNotExist)
	}
	return found, nil
}

// matchIn returns what in a directory matches one element of a pattern; dirs says that only directories do.
func matchIn(v volumeTree, dir location, elem string, dirs bool) ([]location, error) {
	if !strings.ContainsAny(elem, `*?[`) {
		c := dir.child(elem)
		if info, err := v.Stat(c.name); err != nil || dirs && !info.IsDir() {
			return nil, ignoreNotExist(err)
		}
		return []location{c}, nil
	}
	list, err := v.ReadDir(dir.name)
	if err != nil {
		return nil, err
	}
	pattern := foldName(elem)
	var found []location
	for _, e := range list {
		// A leading dot is matched by a dot only, as in a shell.
		if strings.HasPrefix(e.Name(), ".") && !strings.HasPrefix(elem, ".") || dirs && !e.IsDir() {
			continue
		}
		if ok, _ := path.Match(pattern, foldName(e.Name())); ok { // the pattern is well-formed
			found = append(found, dir.child(e.Name()))
		}
	}
	slices.SortFunc(found, func(a, b location) int { return strings.Compare(a.name, b.name) })
	return found, nil
}

// foldName makes spellings of a name equal that a volume takes for the same.
func foldName(name string) string { return strings.ToUpper(norm.NFC.String(name)) }

func ignoreNotExist(err error) error {
	if isNotExist(err) {
		return nil
	}
	return err
}
