package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"fatvol/image/fat"
	"fatvol/image/mkfat"
)

// planOptions are the flags in the terms of package mkfat.
func (c *createFlags) planOptions() (opt mkfat.Options, err error) {
	if c.size != "" && c.fit {
		return opt, errors.New("--size and --fit exclude each other")
	}
	if c.size != "" {
		if opt.Size, err = parseImageSize(c.size); err != nil {
			return opt, fmt.Errorf("--size: %w", err)
		}
		if opt.Size == 0 {
			return opt, errors.New("--size: an image of no bytes")
		}
	}
	if opt.Spare, err = parseImageSize(c.spare); err != nil {
		return opt, fmt.Errorf("--spare: %w", err)
	}
	if opt.Spare > 0 && !c.fit {
		return opt, errors.New("--spare goes with --fit")
	}
	if opt.Wishes, err = c.wishes(); err != nil {
		return opt, err
	}
	if opt.Partition, opt.ESP, err = parseScheme(c.partition); err != nil {
		return opt, fmt.Errorf("--partition: %w", err)
	}
	if c.serial != "" {
		serial, err := parseSerial(c.serial)
		if err != nil {
			return opt, fmt.Errorf("--serial: %w", err)
		}
		opt.Serial = &serial
	}
	if c.boot != "" {
		if opt.Boot, err = readBootSector(c.boot); err != nil {
			return opt, fmt.Errorf("--boot: %w", err)
		}
	}
	opt.Label, opt.Skip, opt.Reproducible = c.label, c.skip, c.reproducible
	return opt, c.stored(&opt)
}

func (c *createFlags) wishes() (w mkfat.Wishes, err error) {
	switch c.fat {
	case "auto":
	case "12", "16", "32":
		n, _ := strconv.Atoi(c.fat) // one of these
		w.Width = fat.Width(n)
	default:
		return w, fmt.Errorf("--fat: %q is not one of auto, 12, 16, 32", c.fat)
	}
	if c.cluster != "" {
		n, err := parseImageSize(c.cluster)
		if err != nil {
			return w, fmt.Errorf("--cluster: %w", err)
		}
		if n == 0 || n > 1<<30 {
			return w, fmt.Errorf("--cluster: no cluster has %s", mkfat.Bytes(n))
		}
		w.ClusterSize = int(n)
	}
	w.SectorSize, w.FATs = c.sector, c.fats
	if c.fats == 0 {
		return w, errors.New("--fats: at least one is needed")
	}
	return w, nil
}

// stored settles how names and times are stored.
func (c *createFlags) stored(opt *mkfat.Options) error {
	cfg, err := parseMountOptions(currentCaller(), c.options, false)
	if err != nil {
		return err
	}
	opt.Names, opt.Clock = cfg.fat.Names, cfg.fat.Clock
	if !c.reproducible {
		return nil
	}
	if cfg.timeOffset == nil {
		opt.Clock = fat.NewClock(nil, 0, true)
	}
	if epoch := os.Getenv("SOURCE_DATE_EPOCH"); epoch != "" {
		seconds, err := strconv.ParseInt(epoch, 10, 64)
		if err != nil {
			return fmt.Errorf("SOURCE_DATE_EPOCH: %q is not a number of seconds since 1970", epoch)
		}
		opt.Now = time.Unix(seconds, 0)
	}
	return nil
}

// floppySizes are those that go by another number than that of their MiB.
var floppySizes = map[string]int64{"1.2M": 1200 << 10, "1.44M": 1440 << 10, "2.88M": 2880 << 10}

// parseImageSize is parseSize, and knows floppies.
func parseImageSize(text string) (int64, error) {
	if n, ok := floppySizes[strings.TrimSuffix(strings.ToUpper(text), "B")]; ok {
		return n, nil
	}
	return parseSize(text)
}

func parseScheme(text string) (s mkfat.Scheme, esp bool, err error) {
	name, esp := strings.CutSuffix(text, ":esp")
	switch {
	case name == "mbr":
		return mkfat.MBR, esp, nil
	case name == "gpt":
		return mkfat.GPT, esp, nil
	case text == "none":
		return mkfat.NoTable, false, nil
	}
	return 0, false, fmt.Errorf("%q is not one of none, mbr, mbr:esp, gpt, gpt:esp", text)
}

// parseSerial reads a serial number as fatvol info and Windows show it, or as a hexadecimal number.
func parseSerial(text string) (uint32, error) {
	digits := strings.TrimPrefix(strings.ToLower(text), "0x")
	if len(digits) == 9 && digits[4] == '-' {
		digits = digits[:4] + digits[5:]
	}
	n, err := strconv.ParseUint(digits, 16, 32)
	if err != nil {
		return 0, fmt.Errorf("%q is not a serial number, as in 1234-ABCD", text)
	}
	return uint32(n), nil
}

func readBootSector(path string) ([]byte, error) {
	const size = 512
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if len(b) != size || b[510] != 0x55 || b[511] != 0xaa {
		return nil, fmt.Errorf("%s: is no boot sector, which has %d bytes and ends in 55 aa", path, size)
	}
	return b, nil
}
