package automount

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"
)

// Config is what the user can choose. The tags are the comments of the file that --print-config shows.
type Config struct {
	Directory string  `toml:"directory" comment:"Where volumes are mounted. Empty: fatvol/media in $XDG_RUNTIME_DIR. \"~/\" is the home directory,\nwhere file managers list mounts by themselves."`
	Source    string  `toml:"source" comment:"Who tells of media: \"udisks\", \"mountinfo\" (the kernel's mount table), or \"auto\": udisks where it runs."`
	Options   string  `toml:"options" comment:"Mount options for every image, as after -o of fatvol mount."`
	Notify    bool    `toml:"notify" comment:"Whether the desktop is told what happens."`
	Media     Media   `toml:"media"`
	Images    Images  `toml:"images"`
	Gone      Absence `toml:"gone"`
	Eject     Ejected `toml:"eject"`
}

// Media says which media are looked at.
type Media struct {
	Also  []string `toml:"also" comment:"Patterns of mount points that count as removable whatever they are on, such as \"/net/*\"."`
	Never []string `toml:"never" comment:"Patterns of mount points, devices or labels of media that are left alone."`
}

// Images says what on a medium is taken for an image.
type Images struct {
	Patterns []string `toml:"patterns" comment:"Names of files to look into; case does not matter. What is in them decides."`
	Depth    int      `toml:"depth" comment:"How many levels of folders are searched: 1 is the top folder only."`
	MinSize  int64    `toml:"min-size" comment:"In bytes."`
	MaxSize  int64    `toml:"max-size" comment:"In bytes; 0 is without limit."`
	AtMost   int      `toml:"at-most" comment:"How many images of one medium are mounted."`
	Entries  int      `toml:"entries" comment:"How many names on a medium are looked at before the search ends."`
	Time     Duration `toml:"time" comment:"How long the search of a medium may take."`
	Several  string   `toml:"several" comment:"An image with several FAT volumes, of which only one at a time can be written to: mount all of them\n\"read-only\", or \"skip\" it."`
}

// Absence says what happens when a medium is pulled.
type Absence struct {
	Keep Duration `toml:"keep" comment:"How long a volume that programs use, or that has unsaved changes, waits for its medium. After that it is\nunmounted; unsaved changes are kept in a file, and are written when the medium is back. A volume that\nnobody uses, and that has none, is unmounted at once."`
}

// Ejected says what happens when a medium is to be ejected.
type Ejected struct {
	Finish   Duration `toml:"finish" comment:"When something other than fatvol eject unmounts a medium, it fails first, because the image is in use, and\nfatvol unmounts the image. After this time the medium is unmounted as well, if nothing has done so. 0: never."`
	PowerOff bool     `toml:"power-off" comment:"Whether fatvol eject also switches the drive off, where it can be."`
}

// Duration is a time as in "90s" or "10m".
type Duration time.Duration

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil || v < 0 {
		return fmt.Errorf("%q is no time as in \"90s\" or \"10m\"", text)
	}
	*d = Duration(v)
	return nil
}

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

func (d Duration) String() string {
	s := time.Duration(d).String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(s, zero) {
			s = strings.TrimSuffix(s, zero[1:])
		}
	}
	return s
}

// DefaultConfig is the configuration without a file.
func DefaultConfig() Config {
	return Config{
		Source: "auto",
		Notify: true,
		Media:  Media{Also: []string{}, Never: []string{}},
		Images: Images{
			Patterns: []string{"*.img", "*.ima", "*.image", "*.dd", "*.raw", "*.fat", "*.vfat", "*.flp", "*.vfd"},
			Depth:    2, MinSize: 64 << 10, AtMost: 8, Entries: 20000, Time: Duration(30 * time.Second), Several: "read-only",
		},
		Gone:  Absence{Keep: Duration(10 * time.Minute)},
		Eject: Ejected{Finish: Duration(3 * time.Second), PowerOff: true},
	}
}

// maxConfig bounds what is read of a configuration file.
const maxConfig = 1 << 20

// LoadConfig reads the file at path. An empty path means the first that exists of those in
// ConfigPaths, or the defaults. It returns the path that was read, if any.
func LoadConfig(path string) (cfg Config, read string, err error) {
	cfg = DefaultConfig()
	candidates := []string{path}
	if path == "" {
		candidates = ConfigPaths()
	}
	for _, candidate := range candidates {
		info, err := os.Stat(candidate)
		if path == "" && errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err == nil && info.Size() > maxConfig {
			err = fmt.Errorf("%s: more than %d bytes", candidate, maxConfig)
		}
		var text []byte
		if err == nil {
			text, err = os.ReadFile(candidate)
		}
		if err == nil {
			err = parseConfig(text, &cfg)
		}
		if err != nil {
			return cfg, candidate, fmt.Errorf("configuration %s: %w", candidate, err)
		}
		return cfg, candidate, nil
	}
	return cfg, "", nil
}

// ConfigPaths are where the configuration is looked for, by the XDG Base Directory Specification.
func ConfigPaths() (paths []string) {
	const name = "fatvol/automount.toml"
	if dir, err := os.UserConfigDir(); err == nil {
		paths = append(paths, filepath.Join(dir, name))
	}
	dirs := os.Getenv("XDG_CONFIG_DIRS")
	if dirs == "" {
		dirs = "/etc/xdg"
	}
	for _, dir := range filepath.SplitList(dirs) {
		if filepath.IsAbs(dir) {
			paths = append(paths, filepath.Join(dir, name))
		}
	}
	return paths
}

func parseConfig(text []byte, cfg *Config) error {
	err := toml.NewDecoder(bytes.NewReader(text)).DisallowUnknownFields().Decode(cfg)
	if unknown, ok := errors.AsType[*toml.StrictMissingError](err); ok && len(unknown.Errors) > 0 {
		first := unknown.Errors[0]
		line, _ := first.Position()
		return fmt.Errorf("line %d: %q is unknown: 'fatvol automount --print-config' shows what there is", line, strings.Join(first.Key(), "."))
	}
	if bad, ok := errors.AsType[*toml.DecodeError](err); ok {
		line, _ := bad.Position()
		return fmt.Errorf("line %d: %s", line, strings.TrimPrefix(bad.Error(), "toml: "))
	}
	if err != nil {
		return err
	}
	return cfg.check()
}

// Bounds of numbers: what is beyond them is a mistake.
const (
	maxDepth  = 32
	maxAtMost = 64
)

func (c *Config) check() error {
	switch c.Source {
	case "auto", "udisks", "mountinfo":
	default:
		return fmt.Errorf("source = %q: \"auto\", \"udisks\" or \"mountinfo\" expected", c.Source)
	}
	switch im := c.Images; {
	case im.Several != "read-only" && im.Several != "skip":
		return fmt.Errorf("images.several = %q: \"read-only\" or \"skip\" expected", im.Several)
	case im.Depth < 1 || im.Depth > maxDepth:
		return fmt.Errorf("images.depth = %d: 1 to %d expected", im.Depth, maxDepth)
	case im.AtMost < 1 || im.AtMost > maxAtMost:
		return fmt.Errorf("images.at-most = %d: 1 to %d expected", im.AtMost, maxAtMost)
	case im.Entries < 1:
		return fmt.Errorf("images.entries = %d: at least 1 expected", im.Entries)
	case im.MinSize < 0 || im.MaxSize < 0 || im.MaxSize != 0 && im.MaxSize < im.MinSize:
		return fmt.Errorf("images.min-size = %d, max-size = %d: the first may not be larger, and none negative", im.MinSize, im.MaxSize)
	case im.Time <= 0:
		return fmt.Errorf("images.time = %q: more than 0 expected", im.Time)
	}
	for i, p := range c.Images.Patterns {
		c.Images.Patterns[i] = strings.ToLower(p)
	}
	for _, list := range [][]string{c.Media.Also, c.Media.Never, c.Images.Patterns} {
		for _, p := range list {
			if _, err := path.Match(p, ""); err != nil {
				return fmt.Errorf("pattern %q: %w", p, err)
			}
		}
	}
	return nil
}

// String is the configuration as a file, with comments.
func (c Config) String() string {
	var b bytes.Buffer
	if err := toml.NewEncoder(&b).Encode(c); err != nil {
		panic(err) // of a fixed type, into memory
	}
	return b.String()
}
