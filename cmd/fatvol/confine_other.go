//go:build !linux

package main

import "github.com/spf13/cobra"

// confine has nothing to give up here.
func (s *served) confine() error { return nil }

// unmounterCommand is for Linux.
func unmounterCommand() *cobra.Command {
	return &cobra.Command{Use: "unmounter DEVICE", Hidden: true, Args: exactly("DEVICE")}
}

// imagePlaces are what confine would need.
func imagePlaces(string) []string { return nil }
