//go:build !linux

package main

import "errors"

var errNoExec = errors.New("exec: needs the name spaces of Linux: mount the image, run the command, and unmount it")

func runExec(string, []string, []string) error           { return errNoExec }
func execServe(string, string, []string, []string) error { return errNoExec }
func execStart([]string) error                           { return errNoExec }
