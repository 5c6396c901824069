package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestParsePlace(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, name := range []string{"disk.img", "odd:name", "odd:name:2", "both:", "dir/x.img", "a:b/c.img", "colon:/file"} {
		if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, nil, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		arg  string
		want place
	}{
		{"-", place{path: "-", stream: true}},
		{"file", place{path: "file"}},
		{"./file", place{path: "./file"}},
		{"no/such/", place{path: "no/such/", isDir: true}},
		{"disk.img", place{path: "disk.img"}},
		{"disk.img:/", place{image: "disk.img", path: ".", isDir: true}},
		{"disk.img:/a/b", place{image: "disk.img", path: "a/b"}},
		{"disk.img:/a/b/", place{image: "disk.img", path: "a/b", isDir: true}},
		{"disk.img:/a//../../b", place{image: "disk.img", path: "b"}},
		{"disk.img:2:/x", place{image: "disk.img", part: "2", path: "x"}},
		{"disk.img:BOOT:/x", place{image: "disk.img", part: "BOOT", path: "x"}},
		{"disk.img:LABEL=MY DISK:/x", place{image: "disk.img", part: "LABEL=MY DISK", path: "x"}},
		{"disk.img:/a:b/c", place{image: "disk.img", path: "a:b/c"}},
		{"disk.img:/a:/c", place{image: "disk.img", path: "a:/c"}},
		{"dir/x.img:/y", place{image: "dir/x.img", path: "y"}},
		{"odd:name:/x", place{image: "odd:name", path: "x"}},
		{"odd:name:2:/x", place{image: "odd:name:2", path: "x"}},
		{"odd:name:3:/x", place{image: "odd:name", part: "3", path: "x"}},
		{"odd:name:2::/x", place{image: "odd:name:2", path: "x"}},
		{"a:b/c.img:/x", place{image: "a:b/c.img", path: "x"}},
		{"both::/x", place{image: "both:", path: "x"}},
		{"missing.img:/x", place{image: "missing.img", path: "x"}},
		{"missing.img:/", place{image: "missing.img", path: ".", isDir: true}},
		{"colon:/x", place{path: "colon:/x"}},
		{"odd:other", place{path: "odd:other"}},
	} {
		c.want.arg = c.arg
		got, err := parsePlace(c.arg)
		if err != nil || got != c.want {
			t.Errorf("%s: %+v, %v\nexpected %+v", c.arg, got, err, c.want)
		}
	}
	for arg, want := range map[string]string{
		"":               "empty",
		"disk.img:file":  "did you mean disk.img:/file?",
		"disk.img:2:dir": "begin with a slash",
	} {
		if _, err := parsePlace(arg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, expected %q", arg, err, want)
		}
	}
	// A directory "disk.img:" beside the image "disk.img".
	if err := os.MkdirAll("disk.img:/a", 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := parsePlace("disk.img:/a"); err == nil || !strings.Contains(err.Error(), "both") {
		t.Errorf("what means two things: %v", err)
	}
	if got, err := parsePlace("disk.img:/b"); err != nil || got.image != "disk.img" {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestParseVolume(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("disk.img", nil, 0o666); err != nil {
		t.Fatal(err)
	}
	for arg, want := range map[string]place{
		"disk.img":        {image: "disk.img"},
		"disk.img:/":      {image: "disk.img"},
		"disk.img:2":      {image: "disk.img", part: "2"},
		"disk.img:BOOT:/": {image: "disk.img", part: "BOOT"},
		"missing:2":       {image: "missing:2"},
	} {
		if got := parseVolume(arg); got.image != want.image || got.part != want.part || got.path != "." {
			t.Errorf("%s: %+v", arg, got)
		}
	}
}
