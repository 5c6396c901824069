package image

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// AmbiguousError is returned when several FAT volumes are meant. It wraps ErrAmbiguous.
type AmbiguousError struct {
	Choice  string      // what was asked for, empty: nothing
	Volumes []Partition // what it may be
}

// Error lists the volumes with what to type for each, in one line.
func (e *AmbiguousError) Error() string {
	list := make([]string, len(e.Volumes))
	for i, p := range e.Volumes {
		list[i] = fmt.Sprintf("-o partition=%d (%s)", p.Number, p.summary())
	}
	what := fmt.Sprintf("there are %d FAT volumes", len(e.Volumes))
	if e.Choice != "" {
		what = fmt.Sprintf("partition=%s means %d FAT volumes", e.Choice, len(e.Volumes))
	}
	return what + ", choose one with " + strings.Join(list, ", ")
}

func (e *AmbiguousError) Unwrap() error { return ErrAmbiguous }

// summary is what people know a partition by: kind, size, label, name.
func (p Partition) summary() string {
	s := p.Content.Kind + ", " + formatSize(p.Size)
	if p.Content.Label != "" {
		s += fmt.Sprintf(", label %q", p.Content.Label)
	}
	if p.Name != "" && p.Name != p.Content.Label {
		s += fmt.Sprintf(", name %q", p.Name)
	}
	return s
}

// Choose returns the partition that choice means: its number; the UUID of its volume, of its GPT
// entry or of its MBR entry; its label or the name of its GPT entry, in any case of letters. They
// are tried in that order. LABEL=, PARTLABEL=, UUID= and PARTUUID= in front restrict it to one of
// them. Without a choice, the only FAT volume is meant.
//
// The partition may be used for reading, and unless readOnly for writing.
func (l *Layout) Choose(choice string, readOnly bool) (Partition, error) {
	var p Partition
	var err error
	if choice == "" {
		p, err = l.only()
	} else {
		p, err = l.named(choice)
	}
	if err == nil {
		err = p.usable(readOnly)
	}
	if err != nil {
		return Partition{}, err
	}
	return p, nil
}

// only returns the only FAT volume.
func (l *Layout) only() (Partition, error) {
	var fats, damaged []Partition
	for _, p := range l.Partitions {
		switch {
		case p.Content.IsFAT():
			fats = append(fats, p)
		case p.Content.Err != nil:
			damaged = append(damaged, p)
		}
	}
	switch {
	case l.Damage != nil && len(fats) > 0:
		return Partition{}, fmt.Errorf("there may be more than the %s that were found; choose one with -o partition=N: %w",
			plural(len(fats), "FAT volume"), l.Damage)
	case l.Damage != nil:
		return Partition{}, l.Damage
	case len(fats) > 1:
		return Partition{}, &AmbiguousError{Volumes: fats}
	case len(fats) == 1:
		return fats[0], nil
	case len(damaged) > 0:
		return damaged[0], nil
	}
	return Partition{}, fmt.Errorf("%w: %s", ErrNoVolume, l.found())
}

// named returns the partition that choice means.
func (l *Layout) named(choice string) (Partition, error) {
	found := l.match(choice)
	if len(found) > 1 {
		// What is not FAT is not meant, if there is anything else.
		if fats := slices.DeleteFunc(slices.Clone(found), func(p Partition) bool { return !p.Content.IsFAT() }); len(fats) > 0 {
			found = fats
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return Partition{}, &AmbiguousError{Choice: choice, Volumes: found}
	case l.Damage != nil:
		return Partition{}, fmt.Errorf("partition=%s: %w: %w", choice, ErrNoPartition, l.Damage)
	case l.Scheme == Whole:
		return Partition{}, fmt.Errorf("partition=%s: %w: the image has no partition table: %s", choice, ErrNoPartition, l.found())
	}
	return Partition{}, fmt.Errorf("partition=%s: %w: %s", choice, ErrNoPartition, l.found())
}

// match returns the partitions that choice means, by the first way of naming one that fits any.
func (l *Layout) match(choice string) []Partition {
	for _, way := range ways {
		value := choice
		if way.prefix != "" {
			if v, ok := cutPrefixFold(choice, way.prefix); ok {
				return l.filter(func(p Partition) bool { return way.fits(p, v) })
			}
		}
		if found := l.filter(func(p Partition) bool { return way.fits(p, value) }); len(found) > 0 {
			return found
		}
	}
	return nil
}

func (l *Layout) filter(fits func(Partition) bool) (found []Partition) {
	for _, p := range l.Partitions {
		if fits(p) {
			found = append(found, p)
		}
	}
	return found
}

// ways are the ways of naming a partition, in the order in which they are tried.
var ways = []struct {
	prefix string
	fits   func(p Partition, v string) bool
}{
	{"", func(p Partition, v string) bool { return p.Number > 0 && v == strconv.Itoa(p.Number) }},
	{"UUID=", func(p Partition, v string) bool { return equalUUID(p.Content.Serial(), v) }},
	{"PARTUUID=", func(p Partition, v string) bool { return equalUUID(p.UUID, v) }},
	{"LABEL=", func(p Partition, v string) bool { return v != "" && strings.EqualFold(p.Content.Label, v) }},
	{"PARTLABEL=", func(p Partition, v string) bool { return v != "" && strings.EqualFold(p.Name, v) }},
}

// equalUUID compares without regard to the case of letters, to braces, and to the dash of a serial.
func equalUUID(id, v string) bool {
	v = strings.TrimSuffix(strings.TrimPrefix(v, "{"), "}")
	if len(id) == len("XXXX-XXXX") && len(v) == len("XXXXXXXX") {
		id = strings.ReplaceAll(id, "-", "")
	}
	return id != "" && strings.EqualFold(id, v)
}

func cutPrefixFold(s, prefix string) (string, bool) {
	if len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix) {
		return s[len(prefix):], true
	}
	return "", false
}

// usable returns why the partition cannot be opened.
func (p Partition) usable(readOnly bool) error {
	switch {
	case p.Err != nil:
		return p.Err
	case p.Content.Err != nil:
		if p.Number == 0 {
			return p.Content.Err
		}
		return fmt.Errorf("%s: %w", p.describe(), p.Content.Err)
	case !p.Content.IsFAT():
		return fmt.Errorf("%w: %s holds %s", ErrNoVolume, p.describe(), kindPhrase(p.Content.Kind))
	case p.Overlap != nil && !readOnly:
		return fmt.Errorf("%w, and writing to it could damage that: mount it with -o ro", p.Overlap)
	}
	return nil
}

// found lists what is there, for errors.
func (l *Layout) found() string {
	if l.Size == 0 {
		return "the image is empty, it has no bytes"
	}
	var list []string
	for _, p := range l.Partitions {
		if p.Number == 0 {
			return "the image holds " + kindPhrase(p.Content.Kind)
		}
		s := fmt.Sprintf("%d (%s)", p.Number, p.summary())
		if errors.Is(p.Err, ErrBeyondEnd) {
			s = fmt.Sprintf("%d (%s, ends beyond the image)", p.Number, p.summary())
		}
		if len(list) == 16 {
			list = append(list, "…")
			break
		}
		list = append(list, s)
	}
	if len(list) == 0 {
		return "the partition table is empty"
	}
	return fmt.Sprintf("there are partitions %s", strings.Join(list, ", "))
}

// kindPhrase makes a part of a sentence of a kind.
func kindPhrase(kind string) string {
	switch kind {
	case "empty":
		return "only zeros where a file system would begin"
	case "unknown":
		return "no known file system"
	case "extended":
		return "logical partitions"
	}
	return kind
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
