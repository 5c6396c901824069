package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"fatvol/watch"
)

// detectorNames are the ways in which a mount learns that its medium went or came back, those of every
// system, so that a line of fstab fits all.
var detectorNames = []string{"probe", "uevent", "mountinfo", "fsnotify"}

// silenced is a detector that the user has turned off. It says so in the status.
type silenced struct{ watch.Detector }

var errSilenced = errors.New("turned off by nodetect=")

func (silenced) Watch(context.Context, *watch.Scene) error { return errSilenced }

// detectors are those of this system.
func (c *mediumConfig) detectors() []watch.Detector {
	all, off := watch.Detectors(), strings.Split(c.nodetect, ":")
	for i, d := range all {
		if slices.Contains(off, d.Name()) {
			all[i] = silenced{d}
		}
	}
	return all
}

// detectorsValue is for names of detectors.
func detectorsValue(set func(c *config, names string)) value {
	return needed("=NAME[:NAME]", func(c *config, text string) error {
		for name := range strings.SplitSeq(text, ":") {
			if !slices.Contains(detectorNames, name) {
				return fmt.Errorf("%q is none of %s", name, strings.Join(detectorNames, ", "))
			}
		}
		set(c, text)
		return nil
	})
}
