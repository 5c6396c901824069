//go:build !linux

package main

import (
	"errors"
	"os/exec"
)

var errNoNamespaces = errors.New("this system has no mount name spaces: leave out -N")

func startInNamespace(*exec.Cmd, string) error { return errNoNamespaces }

func umountInNamespace(string, string, umountFlags) error { return errNoNamespaces }
