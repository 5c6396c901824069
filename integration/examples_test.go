package integration

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// An example is a section of docs/examples.md: files, and a script that uses them.
type example struct {
	title  string
	files  map[string]string
	script string
}

var (
	exampleFence = regexp.MustCompile("(?ms)^```(\\w+)\n(.*?)^```$")
	fileName     = regexp.MustCompile("`([\\w.]+)`:\n\n$")
)

// readExamples takes the page apart. A block of a programming language is a file, whose name ends the
// paragraph before it; blocks of the shell are the script, as is what a workflow runs.
func readExamples(t *testing.T) (examples []example) {
	t.Helper()
	page, err := os.ReadFile("../docs/examples.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, section := range strings.Split(string(page), "\n## ")[1:] {
		title, _, _ := strings.Cut(section, "\n")
		e := example{title: title, files: map[string]string{}}
		for _, m := range exampleFence.FindAllStringSubmatchIndex(section, -1) {
			language, body := section[m[2]:m[3]], section[m[4]:m[5]]
			switch language {
			case "sh":
				e.script += body
			case "yaml":
				e.script += workflowSteps(t, body)
			default:
				name := fileName.FindStringSubmatch(section[:m[0]])
				if name == nil {
					t.Fatalf("%s: a block of %s without a file name before it", title, language)
				}
				e.files[name[1]] = body
			}
		}
		examples = append(examples, e)
	}
	return examples
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

// TestExamples runs docs/examples.md.
func TestExamples(t *testing.T) {
	examples := readExamples(t)
	if len(examples) != 4 {
		t.Errorf("%d examples, want 4", len(examples))
	}
	for _, tool := range []string{"nasm", "ld", "qemu-system-x86_64", "qemu-system-i386", "sfdisk", "mcopy", "git", "tar"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("needs %s", tool)
		}
	}
	bin := filepath.Dir(binary(t))
	for _, e := range examples {
		t.Run(e.title, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			for name, content := range e.files {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			script := "set -eu\n" + e.script
			if strings.Contains(script, "git ") {
				// A checkout is what the workflow begins with.
				script = "git init -q . && echo text >README.md && git add . && git -c user.name=n -c user.email=e@example.org commit -qm m\n" + script
			}
			cmd := exec.Command("timeout", "180", "sh", "-c", script)
			cmd.Dir = dir
			cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH")+":/usr/sbin:/sbin")
			start := time.Now()
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v after %v\n%s", err, time.Since(start), out)
			}
		})
	}
}
