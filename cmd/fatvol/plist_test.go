package main

import (
	"encoding/xml"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// plistValue is what Apple's DTD calls a plist object.
type plistValue struct {
	XMLName  xml.Name
	Text     string       `xml:",chardata"`
	Children []plistValue `xml:",any"`
}

// dict takes a dictionary apart, whose keys and values take turns.
func (v plistValue) dict() (map[string]plistValue, error) {
	if v.XMLName.Local != "dict" || len(v.Children)%2 != 0 {
		return nil, fmt.Errorf("<%s> with %d children is no dictionary", v.XMLName.Local, len(v.Children))
	}
	m := map[string]plistValue{}
	for i := 0; i < len(v.Children); i += 2 {
		key := v.Children[i]
		if _, twice := m[key.Text]; key.XMLName.Local != "key" || twice {
			return nil, fmt.Errorf("<%s> %q where a new key is due", key.XMLName.Local, key.Text)
		}
		m[key.Text] = v.Children[i+1]
	}
	return m, nil
}

// launchdKeys are the keys of launchd.plist(5) that the agent uses, with the types that they have there.
var launchdKeys = map[string][]string{
	"Label": {"string"}, "ProgramArguments": {"array"}, "LimitLoadToSessionType": {"string", "array"},
	"RunAtLoad": {"true", "false"}, "KeepAlive": {"true", "false", "dict"}, "AbandonProcessGroup": {"true", "false"},
	"ExitTimeOut": {"integer"}, "StandardErrorPath": {"string"},
}

func TestLaunchdAgent(t *testing.T) {
	const label = "io.github.fatvol.automount"
	text, err := os.ReadFile("desktop/" + label + ".plist")
	if err != nil {
		t.Fatal(err)
	}
	var plist struct {
		XMLName xml.Name     `xml:"plist"`
		Version string       `xml:"version,attr"`
		Objects []plistValue `xml:",any"`
	}
	if err := xml.Unmarshal(text, &plist); err != nil || plist.Version != "1.0" || len(plist.Objects) != 1 {
		t.Fatalf("%v, version %q, %d objects", err, plist.Version, len(plist.Objects))
	}
	agent, err := plist.Objects[0].dict()
	if err != nil {
		t.Fatal(err)
	}
	for key, v := range agent {
		if !slices.Contains(launchdKeys[key], v.XMLName.Local) {
			t.Errorf("%s: <%s>, want one of %q", key, v.XMLName.Local, launchdKeys[key])
		}
	}
	// launchd wants a file to be called by its label.
	if got := agent["Label"].Text; got != label {
		t.Errorf("label %q", got)
	}
	var args []string
	for _, a := range agent["ProgramArguments"].Children {
		args = append(args, a.Text)
	}
	if got := strings.Join(args, " "); got != "@BINDIR@/fatvol automount" {
		t.Errorf("it runs %q", got)
	}
	if when, err := agent["KeepAlive"].dict(); err != nil || when["SuccessfulExit"].XMLName.Local != "false" {
		t.Errorf("KeepAlive: %v, %v", when, err)
	}
}
