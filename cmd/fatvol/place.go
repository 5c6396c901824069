package main

import (
	"errors"
	"fmt"
	"os"
	"path"
	"strings"
)

// A place is what an argument of ls, cp and their like names: a path in an image, one of the host, or a
// standard stream.
type place struct {
	arg    string
	image  string // the image; empty for the host
	part   string // the partition, as partition= has it; empty: the only volume
	path   string // in an image as io/fs has it, on the host as it was given; "-" with stream
	isDir  bool   // ends with a slash: only a directory will do
	stream bool   // standard input or output
}

// errNoImage is returned for what a script makes of the name of an image that it does not have.
var errNoImage = errors.New("there is no image before the colon")

// parsePlace reads IMAGE:/PATH or IMAGE:PART:/PATH, or else a path of the host, or "-".
//
// Names of host files may hold colons. So what is there decides: the image is the longest text before a
// ":/" that names a file, if need be without a last ":PART". Where none is, and no directory has a name that
// ends with the first of the colons either, the text before it is an image that is missing.
func parsePlace(arg string) (place, error) {
	if arg == "-" {
		return place{arg: arg, path: arg, stream: true}, nil
	}
	if arg == "" {
		return place{}, fmt.Errorf("an argument is empty: a path, IMAGE:/PATH or IMAGE:PART:/PATH is expected")
	}
	onHost := place{arg: arg, path: arg, isDir: strings.HasSuffix(arg, "/")}
	first := strings.Index(arg, ":/")
	if first < 0 {
		return onHost, forgottenSlash(arg)
	}
	for i := len(arg); i > 0; {
		if i = strings.LastIndex(arg[:i], ":/"); i < 0 {
			break
		}
		if image, part, ok := splitImage(arg[:i]); ok {
			if _, err := os.Lstat(arg); err == nil {
				return place{}, fmt.Errorf("%s: means both a file of the host and one in the image %s: change to the directory of the first and leave that out of its path", arg, image)
			}
			return inImage(arg, image, part, arg[i+1:]), nil
		}
	}
	if _, err := os.Lstat(arg[:first+1]); err == nil {
		return onHost, nil
	}
	if first == 0 {
		return place{}, fmt.Errorf("%s: %w", arg, errNoImage)
	}
	return inImage(arg, arg[:first], "", arg[first+1:]), nil
}

// parseVolume reads what names a whole volume: IMAGE or IMAGE:PART, with or without ":/" behind it.
func parseVolume(arg string) place {
	text := strings.TrimSuffix(arg, ":/")
	image, part, ok := splitImage(text)
	if !ok {
		image, part = text, ""
	}
	return inImage(arg, image, part, "/")
}

func inImage(arg, image, part, inside string) place {
	p := place{arg: arg, image: image, part: part, isDir: strings.HasSuffix(inside, "/")}
	// Above the root is the root, as everywhere.
	if p.path = strings.TrimPrefix(path.Clean("/"+inside), "/"); p.path == "" {
		p.path = "."
	}
	return p
}

// splitImage reads IMAGE or IMAGE:PART; ok is false when there is no such image.
func splitImage(text string) (image, part string, ok bool) {
	if isImageFile(text) {
		return text, "", true
	}
	i := strings.LastIndex(text, ":")
	if i > 0 && !strings.Contains(text[i:], "/") && isImageFile(text[:i]) {
		return text[:i], text[i+1:], true
	}
	return "", "", false
}

// isImageFile reports whether there is something at a path that can be an image.
func isImageFile(path string) bool {
	st, err := os.Stat(path)
	return err == nil && !st.IsDir()
}

// forgottenSlash refuses "disk.img:file": who writes it means the image, and would get a file of that name.
func forgottenSlash(arg string) error {
	if _, err := os.Lstat(arg); err == nil {
		return nil
	}
	i := strings.Index(arg, ":")
	if i <= 0 || !isImageFile(arg[:i]) {
		return nil
	}
	return fmt.Errorf("%s: paths in an image begin with a slash: did you mean %s:/%s?", arg, arg[:i], arg[i+1:])
}
