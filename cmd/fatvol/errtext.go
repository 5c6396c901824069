package main

import "strings"

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
