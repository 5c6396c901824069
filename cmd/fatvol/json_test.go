package main

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// documentedMembers reads the table below a heading of a file in docs: members and their types.
func documentedMembers(t *testing.T, file, heading string) map[string]string {
	t.Helper()
	text, err := os.ReadFile("../../docs/" + file)
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(text), "\n"+heading+"\n")
	if !ok {
		t.Fatalf("%s has no %q", file, heading)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	found := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\| ([^|]+) \\|").FindAllStringSubmatch(section, -1) {
		found[row[1]] = row[2]
	}
	return found
}

// encodedMembers lists what a type is encoded to, in the words of the documentation.
func encodedMembers(of reflect.Type, prefix string, found map[string]string) {
	for f := range structFields(of) {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		optional := ""
		if strings.Contains(options, "omitempty") {
			optional = ", optional"
		}
		kind := f.Type
		if kind.Kind() == reflect.Pointer {
			kind = kind.Elem()
		}
		found[prefix+name] = jsonType(kind) + optional
		switch jsonType(kind) {
		case "object":
			encodedMembers(kind, prefix+name+".", found)
		case "list":
			encodedMembers(kind.Elem(), prefix+name+"[].", found)
		}
	}
}

// structFields are those that are encoded.
func structFields(of reflect.Type) func(func(reflect.StructField) bool) {
	return func(yield func(reflect.StructField) bool) {
		for _, f := range reflect.VisibleFields(of) {
			if f.IsExported() && !yield(f) {
				return
			}
		}
	}
}

func jsonType(of reflect.Type) string {
	switch {
	case of == reflect.TypeFor[time.Time]():
		return "time"
	case of == reflect.TypeFor[[]string]():
		return "strings"
	case of == reflect.TypeFor[map[string]string]():
		return "map of strings"
	}
	switch of.Kind() {
	case reflect.Struct:
		return "object"
	case reflect.Slice:
		return "list"
	case reflect.String:
		return "string"
	case reflect.Bool:
		return "boolean"
	}
	if of.ConvertibleTo(reflect.TypeFor[float64]()) {
		return "number"
	}
	return "undocumented " + of.String()
}

// A member of --json does not disappear, change its type or come to be without the documentation saying so.
func TestJSONIsDocumented(t *testing.T) {
	for _, tc := range []struct {
		file, heading string
		of            reflect.Type
	}{
		{"status.md", "## --json", reflect.TypeFor[mountStatus]()},
		{"json.md", "## fatvol info --json", reflect.TypeFor[imageInfo]()},
		{"json.md", "## fatvol ls --json", reflect.TypeFor[listed]()},
		{"json.md", "## fatvol check --json", reflect.TypeFor[checkReport]()},
		{"json.md", "## fatvol defrag --json", reflect.TypeFor[defragInfo]()},
	} {
		encoded := map[string]string{}
		encodedMembers(tc.of, "", encoded)
		compareMembers(t, tc.heading, encoded, documentedMembers(t, tc.file, tc.heading))
	}
}

func compareMembers(t *testing.T, what string, encoded, documented map[string]string) {
	t.Helper()
	all := maps.Clone(encoded)
	maps.Copy(all, documented)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if encoded[name] != documented[name] {
			t.Errorf("%s: %s is %q, and documented as %q", what, name, encoded[name], documented[name])
		}
	}
}

// The extents are not encoded from a type: here it is what is printed.
func TestJSONOfExtentsIsDocumented(t *testing.T) {
	documented := documentedMembers(t, "json.md", "## fatvol info --extents --json")
	t.Chdir(t.TempDir())
	if err := os.WriteFile("a.txt", []byte("text"), 0o666); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	for _, args := range [][]string{
		{"create", "disk.img", "--size", "4M", "--from", ".", "--quiet"},
		{"info", "--extents", "/a.txt", "--json", "disk.img"},
	} {
		root := rootCommand()
		out.Reset()
		root.SetOut(&out)
		root.SetArgs(args)
		if err := root.Execute(); err != nil {
			t.Fatal(err)
		}
	}
	var got map[string]any
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	printed := map[string]string{}
	printedMembers(got, "", printed)
	compareMembers(t, "extents", printed, documented)
}

// printedMembers is encodedMembers of what was printed.
func printedMembers(object map[string]any, prefix string, found map[string]string) {
	for name, v := range object {
		switch v := v.(type) {
		case []any:
			found[prefix+name] = "list"
			for _, e := range v {
				printedMembers(e.(map[string]any), prefix+name+"[].", found)
			}
		case float64:
			found[prefix+name] = "number"
		case string:
			found[prefix+name] = "string"
		}
	}
}
