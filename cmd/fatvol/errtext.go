package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"fatvol/image"
	"fatvol/image/fat"
)

// shortened is an error whose text leaves out what the message around it says already.
type shortened struct {
	text string
	err  error
}

func (e *shortened) Error() string { return e.text }
func (e *shortened) Unwrap() error { return e.err }

// withoutPath takes the path off the beginning of an error's text, where the layers below name the
// same file that the message names.
func withoutPath(path string, err error) error {
	text := err.Error()
	for _, prefix := range []string{path + ": ", "open " + path + ": ", "stat " + path + ": "} {
		if rest, ok := strings.CutPrefix(text, prefix); ok {
			return &shortened{rest, err}
		}
	}
	return err
}

// imageError is an error about the image at path without the path, which the message names already, and
// with what can be done about it.
func imageError(path string, err error) error {
	err = withoutPath(path, err)
	advice := ""
	switch {
	case errors.Is(err, os.ErrNotExist) && isMissing(path):
		if p := parseVolume(path); p.part != "" { // as other commands take it
			return &shortened{fmt.Sprintf("there is no such image: a partition of %s is chosen with -o partition=%s", p.image, p.part), err}
		}
		return &shortened{"there is no such image: 'fatvol create' makes one", err}
	case errors.Is(err, os.ErrPermission):
		advice = "run it as a user who may, or as root"
	case errors.Is(err, fat.ErrTruncated):
		advice = "was it copied whole?"
	case errors.Is(err, fat.ErrCorrupt) && !badBootSector(err):
		advice = fmt.Sprintf("'fatvol check --repair %s' may repair it", path)
	case badBootSector(err), errors.Is(err, fat.ErrNotFAT), errors.Is(err, image.ErrNoVolume), errors.Is(err, image.ErrNoPartition):
		advice = fmt.Sprintf("'fatvol info %s' shows what is there", path)
	default:
		return err
	}
	return fmt.Errorf("%w: %s", err, advice)
}

// badBootSector reports whether err is that a boot sector makes no volume, which a check does not repair.
func badBootSector(err error) bool {
	var field *fat.BPBError
	return errors.As(err, &field)
}

func isMissing(path string) bool {
	_, err := os.Lstat(path)
	return errors.Is(err, os.ErrNotExist)
}
