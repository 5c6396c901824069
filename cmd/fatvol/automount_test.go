package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fatvol/cmd/fatvol/automount"
)

// TestPrintConfigOfWrongFile: the error about a word that is unknown advises --print-config, which has to work then.
func TestPrintConfigOfWrongFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "automount.toml")
	if err := os.WriteFile(name, []byte("bogus = 1\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	flags := automountFlags{config: name, printConfig: true}
	err := flags.run(t.Context(), &out, io.Discard)
	if exitCode(err) != exitUsage || !strings.Contains(err.Error(), `"bogus" is unknown: 'fatvol automount --print-config' shows`) {
		t.Errorf("error %v", err)
	}
	if !strings.HasSuffix(out.String(), automount.DefaultConfig().String()) {
		t.Errorf("prints %q", out.String())
	}
}
