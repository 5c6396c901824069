package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
)

// A job is one run of ls, cat, cp and their like: the volumes that it works on, and what went wrong. What
// cannot be done with one file is said, counted, and keeps nothing from being done with the others; the
// exit code is 1 then, as of cp(1).
type job struct {
	ctx    context.Context // ends when the user interrupts
	name   string          // of the command
	vols   volumes
	out    *bufio.Writer // standard output
	failed int
}

// fileCommand makes run what a command does, and gives it -o. run's error is about the command as a whole.
func fileCommand(cmd *cobra.Command, run func(j *job, args []string) error) *cobra.Command {
	var options []string
	cmd.Flags().StringArrayVarP(&options, "options", "o", nil,
		"mount `options` that say how to read a volume: codepage=, tz=, offset= and others")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		cfg, err := parseMountOptions(currentCaller(), options, false)
		if err != nil {
			return failf(exitUsage, "%s: %w", cmd.Name(), err)
		}
		ctx, stop := untilSignal(cmd.Context())
		defer stop()
		survivePipes()
		ctx, stopEarly := context.WithCancelCause(ctx)
		defer stopEarly(nil)
		out := &outlet{os.Stdout, ctx, stopEarly}
		j := &job{ctx: ctx, name: cmd.Name(), vols: volumes{cfg: cfg}, out: bufio.NewWriterSize(out, 64<<10)}
		return j.end(run(j, args))
	}
	return cmd
}

// end brings everything to the media, and says how it all went.
func (j *job) end(err error) error {
	if outErr := j.out.Flush(); outErr != nil && j.ctx.Err() == nil {
		j.fail(outErr)
	}
	if closeErr := j.vols.close(); closeErr != nil {
		j.fail(closeErr)
	}
	switch {
	case context.Cause(j.ctx) == errNoReader && j.failed == 0:
		return &exitError{exitNoReader, errReported}
	case j.ctx.Err() != nil && context.Cause(j.ctx) != errNoReader:
		return failf(exitInterrupted, "%s: interrupted: what was done until then is whole", j.name)
	case err != nil:
		return failf(exitUsage, "%s: %w", j.name, err)
	case j.failed > 0:
		return &exitError{exitUsage, errReported}
	}
	return nil
}

// fail says what went wrong, and counts it.
func (j *job) fail(err error) {
	j.failed++
	_ = j.out.Flush() // so that it comes behind what was said before
	complain("%s: %v", j.name, err)
}

// failAt is fail of something at a location. An interrupt is no failure of the file that it hits.
func (j *job) failAt(l location, err error) {
	if j.ctx.Err() == nil {
		j.fail(fmt.Errorf("%s: %w", l, reason(err)))
	}
}

func parsePlaces(args []string) (places []place, err error) {
	for _, arg := range args {
		p, err := parsePlace(arg)
		if err != nil {
			return nil, err
		}
		places = append(places, p)
	}
	return places, nil
}

// locate finds what places mean, patterns and all. An image that cannot be opened is said once.
func (j *job) locate(places []place) (found []location) {
	broken := map[string]bool{}
	for _, p := range places {
		l, err := j.vols.at(p)
		if err != nil {
			if !broken[p.image+":"+p.part] {
				j.fail(err)
			}
			broken[p.image+":"+p.part] = true
			continue
		}
		list, err := expand(l)
		if err != nil {
			j.failAt(l, err)
			continue
		}
		found = append(found, list...)
	}
	return found
}

// onVolumes opens what the arguments of a command name that works on volumes only.
func (j *job) onVolumes(args []string, write bool) (found []location, err error) {
	var places []place
	for _, arg := range args {
		p := parseVolume(arg) // IMAGE or IMAGE:PART alone is the whole of it
		if _, _, ok := splitImage(arg); !ok {
			if p, err = parsePlace(arg); err != nil {
				return nil, err
			}
		}
		if p.image == "" {
			what := "not in an image"
			if _, err := os.Lstat(p.path); errors.Is(err, os.ErrNotExist) && !p.stream {
				what = "there is no such image"
			}
			return nil, fmt.Errorf("%s: %s: IMAGE:/PATH or IMAGE:PART:/PATH is expected", p.arg, what)
		}
		j.vols.plan(p, write)
		places = append(places, p)
	}
	return j.locate(places), nil
}
