package integration

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A recipe is a section of a page of the documentation: files, and a script that uses them.
type recipe struct {
	title  string
	files  map[string]string // by their path
	script string
}

var (
	recipeFence = regexp.MustCompile("(?ms)^```(\\w+)\n(.*?)^```$")
	recipeFile  = regexp.MustCompile("`([\\w./-]+)`:\n\n$")
)

// readRecipes takes a page apart: what stands before its first section, and the sections. A block of some
// other language is a file, whose name ends the paragraph before it; blocks of the shell are the script,
// as is what a workflow runs.
func readRecipes(t *testing.T, page string) (first recipe, rest []recipe) {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for i, section := range strings.Split(string(text), "\n## ") {
		title, _, _ := strings.Cut(section, "\n")
		r := recipe{title: title, files: map[string]string{}}
		for _, m := range recipeFence.FindAllStringSubmatchIndex(section, -1) {
			language, body := section[m[2]:m[3]], section[m[4]:m[5]]
			switch language {
			case "sh":
				r.script += body
			case "yaml":
				r.script += workflowSteps(t, body)
			default:
				name := recipeFile.FindStringSubmatch(section[:m[0]])
				if name == nil {
					t.Fatalf("%s: %s: a block of %s without a file name before it", page, title, language)
				}
				r.files[name[1]] = body
			}
		}
		if i == 0 {
			first = r
		} else {
			rest = append(rest, r)
		}
	}
	return first, rest
}

// workflowSteps are the lines below "run: |".
func workflowSteps(t *testing.T, workflow string) string {
	t.Helper()
	_, steps, found := strings.Cut(workflow, "run: |\n")
	if !found {
		t.Fatalf("the workflow runs nothing:\n%s", workflow)
	}
	return steps
}

// writeFiles puts files below dir.
func writeFiles(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
