package main

import (
	"errors"
	"fmt"
	"math"
	"os/user"
	"strconv"
	"strings"
)

// flagValue is for an option that takes no value.
func flagValue(set func(c *config)) value {
	return value{"", func(c *config, _ string, has bool) error {
		if has {
			return errors.New("takes no value")
		}
		set(c)
		return nil
	}}
}

// boolValue is for an option that stands for true when bare; otherwise 1, yes, true or 0, no, false.
func boolValue(set func(c *config, on bool)) value {
	return value{"[=BOOL]", func(c *config, text string, has bool) error {
		switch {
		case !has, text == "1", text == "yes", text == "true":
			set(c, true)
		case text == "0", text == "no", text == "false":
			set(c, false)
		default:
			return fmt.Errorf("%q is neither of 1, yes, true nor of 0, no, false", text)
		}
		return nil
	}}
}

// needed makes an option's value one that must not be left out.
func needed(form string, set func(c *config, text string) error) value {
	return value{form, func(c *config, text string, _ bool) error {
		if text == "" {
			return fmt.Errorf("needs a value: %s", strings.TrimPrefix(form, "="))
		}
		return set(c, text)
	}}
}

// textValue is for any text but the empty one.
func textValue(form string, set func(c *config, text string) error) value {
	return needed("="+form, set)
}

// maskValue is for permission bits in octal, 0 to 7777 as in umask(1).
func maskValue(set func(c *config, mask uint32)) value {
	return needed("=OCTAL", func(c *config, text string) error {
		mask, err := strconv.ParseUint(text, 8, 32)
		if err != nil || mask > 0o7777 {
			return fmt.Errorf("%q is not an octal number from 0 to 7777", text)
		}
		set(c, uint32(mask))
		return nil
	})
}

// intValue is for a decimal number in the range from low to high.
func intValue(form string, low, high int64, set func(c *config, n int64) error) value {
	return needed("="+form, func(c *config, text string) error {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < low || n > high {
			return fmt.Errorf("%q is not a number from %d to %d", text, low, high)
		}
		return set(c, n)
	})
}

// enumValue is for one of several words; each may be given as a pair "word|abbreviation".
func enumValue[T any](set func(c *config, v T), words ...enumWord[T]) value {
	all := make([]string, 0, len(words))
	shown := make([]string, 0, len(words))
	byName := map[string]T{}
	for _, w := range words {
		shown = append(shown, w.name)
		for name := range strings.SplitSeq(w.name, "|") {
			byName[name] = w.value
			all = append(all, name)
		}
	}
	return needed("="+strings.Join(shown, "|"), func(c *config, text string) error {
		v, ok := byName[text]
		if !ok {
			return fmt.Errorf("%q is not one of %s", text, strings.Join(all, ", "))
		}
		set(c, v)
		return nil
	})
}

type enumWord[T any] struct {
	name  string
	value T
}

// ownerValue is for a user or a group, by number or by name.
func ownerValue(form string, lookup func(name string) (id string, err error), set func(c *config, id uint32)) value {
	return needed("="+form, func(c *config, text string) error {
		id, err := strconv.ParseUint(text, 10, 32)
		if err != nil {
			found, lookupErr := lookup(text)
			if lookupErr != nil {
				return fmt.Errorf("%q is neither a number nor the name of a %s", text, strings.ToLower(form))
			}
			if id, err = strconv.ParseUint(found, 10, 32); err != nil {
				return fmt.Errorf("%q has the number %q, which is none", text, found)
			}
		}
		if id == math.MaxUint32 {
			return fmt.Errorf("%d stands for no %s", id, strings.ToLower(form))
		}
		set(c, uint32(id))
		return nil
	})
}

func lookupUser(name string) (string, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return "", err
	}
	return u.Uid, nil
}

func lookupGroup(name string) (string, error) {
	g, err := user.LookupGroup(name)
	if err != nil {
		return "", err
	}
	return g.Gid, nil
}

// sizeUnits are the suffixes of mount(8)'s offset= and sizelimit=: K, M, G, T and KiB, … are
// powers of 1024, KB, … powers of 1000.
var sizeUnits = func() map[string]int64 {
	units := map[string]int64{"": 1}
	binary, decimal := int64(1), int64(1)
	for _, prefix := range "KMGT" {
		binary, decimal = binary*1024, decimal*1000
		p := string(prefix)
		units[p], units[p+"IB"], units[p+"B"] = binary, binary, decimal
	}
	return units
}()

// parseSize reads a number of bytes with an optional unit.
func parseSize(text string) (int64, error) {
	digits := strings.TrimRight(text, "BIKMGTbikmgt")
	n, err := strconv.ParseInt(digits, 10, 64)
	unit, ok := sizeUnits[strings.ToUpper(text[len(digits):])]
	if err != nil || !ok || n < 0 {
		return 0, fmt.Errorf("%q is not a number of bytes, as in 1048576, 512K or 1MiB", text)
	}
	if n > math.MaxInt64/unit {
		return 0, fmt.Errorf("%q is more than 8 EiB", text)
	}
	return n * unit, nil
}

// sizeValue is for a number of bytes, at least low.
func sizeValue(low int64, set func(c *config, n int64)) value {
	return needed("=BYTES", func(c *config, text string) error {
		n, err := parseSize(text)
		if err != nil {
			return err
		}
		if n < low {
			return fmt.Errorf("%d is too small: at least %d", n, low)
		}
		set(c, n)
		return nil
	})
}

// obsoleteValue accepts anything, does nothing, and says so, as Linux does.
func obsoleteValue(name, form string) value {
	return value{form, func(c *config, _ string, _ bool) error {
		c.warn("option %q is obsolete and has no effect", name)
		return nil
	}}
}

// ignoredValue accepts anything and does nothing.
func ignoredValue(form string) value {
	return value{form, func(*config, string, bool) error { return nil }}
}
