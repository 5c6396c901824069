package automount

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestConfigRound: what --print-config prints is a file that means the same.
func TestConfigRound(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Gone.Keep = Duration(90 * time.Minute)
	cfg.Media.Never = []string{"BACKUP*"}
	text := cfg.String()
	again := DefaultConfig()
	if err := parseConfig([]byte(text), &again); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if again.String() != text {
		t.Errorf("%s\ncame back as\n%s", text, again)
	}
	if !strings.Contains(text, "keep = '1h30m'") {
		t.Errorf("the time is not for people:\n%s", text)
	}
	// Each setting has its comment.
	previous := ""
	for line := range strings.Lines(text) {
		if strings.Contains(line, " = ") && !strings.HasPrefix(line, "#") && !strings.HasPrefix(previous, "#") {
			t.Errorf("no comment above %q", line)
		}
		previous = line
	}
}

func TestConfigErrors(t *testing.T) {
	for text, want := range map[string]string{
		"sauce = 'auto'":                      `line 1: "sauce" is unknown`,
		"[images]\ndepht = 3":                 `line 2: "images.depht" is unknown`,
		"source = 'kernel'":                   `source = "kernel"`,
		"[images]\ndepth = 0":                 "images.depth = 0",
		"[images]\ndepth = 'deep'":            "line 2",
		"[images]\npatterns = ['[']":          `pattern "["`,
		"[images]\nseveral = 'all'":           `images.several = "all"`,
		"[images]\nmax-size = 1":              "max-size = 1",
		"[images]\ntime = '0s'":               "images.time",
		"[gone]\nkeep = 'long'":               "no time",
		"[gone]\nkeep = '-1s'":                "no time",
		"[images":                             "line 1",
		"[images]\nat-most = 100000000000000": "at-most",
	} {
		cfg := DefaultConfig()
		err := parseConfig([]byte(text), &cfg)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

// TestConfigPlaces: the user's file comes before the system's, and neither need be there.
func TestConfigPlaces(t *testing.T) {
	user, system := t.TempDir(), t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", user)
	t.Setenv("XDG_CONFIG_DIRS", "relative:"+system)
	load := func(path string) string {
		t.Helper()
		cfg, read, err := LoadConfig(path)
		if err != nil {
			return err.Error()
		}
		return cfg.Options + " " + read
	}
	if got := load(""); got != " " {
		t.Errorf("without a file: %q", got)
	}
	for _, dir := range []string{system, user} {
		if err := os.MkdirAll(filepath.Join(dir, "fatvol"), 0o755); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, "fatvol/automount.toml")
		if err := os.WriteFile(path, []byte("options = 'ro'"), 0o644); err != nil {
			t.Fatal(err)
		}
		if got := load(""); got != "ro "+path {
			t.Errorf("got %q, want that of %s", got, path)
		}
	}
	if got := load("/nowhere"); !strings.Contains(got, "/nowhere") {
		t.Errorf("a file that was asked for and is not there: %q", got)
	}
}
