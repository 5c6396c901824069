package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// wrongArguments says what is wrong with arguments that are to be as many as their names, and not empty, as those
// are that a script takes from a variable which was never set. It returns "" where nothing is.
func wrongArguments(args []string, names ...string) string {
	if len(names) == 0 && len(args) > 0 {
		return fmt.Sprintf("takes no arguments, %d given", len(args))
	}
	if len(args) != len(names) {
		return fmt.Sprintf("%s needed, %d given", strings.Join(names, " and "), len(args))
	}
	if i := slices.Index(args, ""); i >= 0 {
		return names[i] + " is empty"
	}
	return ""
}

// exactly makes cobra's check of arguments say what they are.
func exactly(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if why := wrongArguments(args, names...); why != "" {
			return failf(exitUsage, "%s: %s: see '%s --help'", nameOf(cmd), why, cmd.CommandPath())
		}
		return nil
	}
}

// atMost is exactly for an argument that may be left out.
func atMost(name string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) > 1:
			return failf(exitUsage, "%s: one %s at most, %d given: see '%s --help'", nameOf(cmd), name, len(args), cmd.CommandPath())
		case len(args) == 1:
			return exactly(name)(cmd, args)
		}
		return nil
	}
}

// atLeast is exactly for commands that take any number of arguments from n on. Whether these are paths, or empty, is
// for parsePlace to say.
func atLeast(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) >= n {
			return nil
		}
		return failf(exitUsage, "%s: %s needed, %d given: see '%s --help'", nameOf(cmd), what, len(args), cmd.CommandPath())
	}
}

// nameOf is what a command is called behind "fatvol".
func nameOf(cmd *cobra.Command) string { return strings.TrimPrefix(cmd.CommandPath(), "fatvol ") }

// notEmpty refuses flags that were given, and with nothing: that is not the same as to leave them out.
func notEmpty(cmd *cobra.Command, flags ...string) error {
	for _, name := range flags {
		if f := cmd.Flags().Lookup(name); f.Changed && f.Value.String() == "" {
			return failf(exitUsage, "%s: --%s is empty: see '%s --help'", nameOf(cmd), name, cmd.CommandPath())
		}
	}
	return nil
}
