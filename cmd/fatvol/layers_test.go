package main

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// mayImport says which packages of the module each layer may use, besides those below itself.
// cmd is above all; integration is tests only.
var mayImport = map[string][]string{
	"fs":    {"image"},
	"image": {},
	"watch": {},
}

func layerOf(pkg string) string {
	layer, _, _ := strings.Cut(strings.TrimPrefix(pkg, "fatvol/"), "/")
	return layer
}

// TestLayers keeps the direction of dependencies.
func TestLayers(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "-f", `{{.ImportPath}}:{{join .Imports " "}}`, "fatvol/...").Output()
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for line := range strings.Lines(string(out)) {
		pkg, imports, _ := strings.Cut(strings.TrimSpace(line), ":")
		if !strings.HasPrefix(pkg, "fatvol/") {
			continue
		}
		seen++
		layer := layerOf(pkg)
		allowed, ruled := mayImport[layer]
		if !ruled && layer != "cmd" && layer != "integration" {
			t.Errorf("%s is in none of the layers", pkg)
		}
		for imported := range strings.FieldsSeq(imports) {
			if !ruled || !strings.HasPrefix(imported, "fatvol/") || layerOf(imported) == layer {
				continue
			}
			if !slices.Contains(allowed, layerOf(imported)) {
				t.Errorf("%s imports %s: %s may use %q", pkg, imported, layer, allowed)
			}
		}
		for imported := range strings.FieldsSeq(imports) {
			if layer != "integration" && strings.HasPrefix(imported, "gonum.org/") {
				t.Errorf("%s imports %s: only integration/bench draws plots", pkg, imported)
			}
		}
		if strings.HasPrefix(pkg, "fatvol/image") && strings.Contains(imports, "go-fuse") {
			t.Errorf("%s knows FUSE", pkg)
		}
	}
	if seen < 4 {
		t.Errorf("only %d packages of the module were seen", seen)
	}
}

// TestOneMain: cmd/fatvol is the only program, besides what integration tests run.
func TestOneMain(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", `{{if eq .Name "main"}}{{.ImportPath}}{{end}}`, "fatvol/...").Output()
	if err != nil {
		t.Fatal(err)
	}
	got := slices.DeleteFunc(strings.Fields(string(out)), func(pkg string) bool { return layerOf(pkg) == "integration" })
	if !slices.Equal(got, []string{"fatvol/cmd/fatvol"}) {
		t.Errorf("programs: %q", got)
	}
}
