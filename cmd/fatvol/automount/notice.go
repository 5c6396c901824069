package automount

import (
	"fmt"
	"path/filepath"
)

// A noticeKind is what a notice is about.
type noticeKind string

const (
	noticeNone    noticeKind = ""
	noticeMounted noticeKind = "mounted"
	noticeFailed  noticeKind = "failed"  // an image could not be mounted
	noticeRemoved noticeKind = "removed" // the medium went
	noticeBack    noticeKind = "back"
	noticeOther   noticeKind = "other"   // another medium came in its place
	noticeChanged noticeKind = "changed" // it came back changed
	noticeEnded   noticeKind = "ended"   // it was unmounted because the medium stayed away
	noticeDied    noticeKind = "died"    // the serving process
	noticeBusy    noticeKind = "busy"    // it cannot be ejected
	noticeSafe    noticeKind = "safe"    // the medium can be taken out
)

// A notice is something to tell the user. A later one about the same thing takes its place.
type notice struct {
	kind    noticeKind
	about   string // mount point or medium
	summary string
	body    string
	urgent  bool   // data is at stake
	open    string // what can be opened; "" for nothing
}

func mountedNotice(dir, image, medium, said string, readOnly bool) notice {
	body := fmt.Sprintf("%s on %s is open at %s.", filepath.Base(image), medium, dir)
	if readOnly {
		body += " It holds several volumes, which can only be read."
	}
	if said != "" {
		body += " " + sentence(said)
	}
	return notice{kind: noticeMounted, about: dir, summary: filepath.Base(dir) + " is ready", body: body, open: dir}
}

func failedNotice(image, medium string, err error) notice {
	return notice{kind: noticeFailed, about: image,
		summary: fmt.Sprintf("%s on %s cannot be opened", filepath.Base(image), medium), body: sentence(err.Error())}
}

func removedNotice(m *Mount, medium string) notice {
	n := notice{kind: noticeRemoved, summary: m.name() + " was removed", body: "Everything on it was saved."}
	if m.unsaved() {
		n.urgent = true
		n.body = fmt.Sprintf("%s not saved. Put %s back: nothing is lost, and what is open goes on.", unsavedText(m), orThat(medium))
	}
	return n
}

func backNotice(m *Mount, mm *mountMemory) notice {
	n := notice{kind: noticeBack, summary: m.name() + " is back", body: "Everything goes on.", open: m.Dir}
	switch {
	case mm.unsaved && mm.files == 1:
		n.summary, n.body = m.name()+" is back and saved", "1 file has been saved."
	case mm.unsaved && mm.files > 0:
		n.summary, n.body = m.name()+" is back and saved", fmt.Sprintf("%d files have been saved.", mm.files)
	case mm.unsaved:
		n.summary, n.body = m.name()+" is back and saved", "What was not saved has been."
	}
	return n
}

func otherNotice(m *Mount, mm *mountMemory) notice {
	n := notice{kind: noticeOther, summary: "This is not the medium with " + m.name(), body: "It is left as it is."}
	if m.unsaved() {
		n.urgent = true
		n.body += fmt.Sprintf(" %s still not saved: put %s back.", unsavedText(m), orThat(mm.medium))
	}
	return n
}

func changedNotice(m *Mount, mm *mountMemory) notice {
	return notice{kind: noticeChanged, urgent: true, summary: m.name() + " was changed elsewhere",
		body: fmt.Sprintf("%s not saved, and what %s holds now does not fit. It is left as it is, and the changes are kept: see fatvol replay.",
			unsavedText(m), orThat(mm.medium))}
}

func endedNotice(m *Mount, said string) notice {
	n := notice{kind: noticeEnded, about: m.Dir, summary: m.name() + " was closed", body: "Its medium did not come back."}
	if said != "" {
		n.urgent = true
		n.body += " " + sentence(said)
	}
	return n
}

func diedNotice(m *Mount) notice {
	return notice{kind: noticeDied, urgent: true, summary: m.name() + " was closed by a fault",
		body: sentence(fmt.Sprintf("the process that served it has died: 'fatvol check %s' tells whether it is whole", m.Image))}
}

func busyNotice(m *Medium, said string) notice {
	return notice{kind: noticeBusy, about: m.Dir, summary: m.Name + " cannot be removed yet", body: sentence(said)}
}

func safeNotice(m *Medium) notice {
	return notice{kind: noticeSafe, about: m.Dir, summary: m.Name + " can be removed", body: "Everything on it is saved."}
}

// unsavedText is the beginning of a sentence.
func unsavedText(m *Mount) string {
	switch {
	case m.Files == 1:
		return "1 file is"
	case m.Files > 1:
		return fmt.Sprintf("%d files are", m.Files)
	case m.Unsaved > 0:
		return "Some changes are"
	}
	return "Changes of names and times are"
}

func orThat(medium string) string {
	if medium == "" {
		return "it"
	}
	return medium
}

// sentence gives a line its capital and its full stop.
func sentence(text string) string {
	if text == "" {
		return ""
	}
	if c := text[len(text)-1]; c != '.' {
		text += "."
	}
	if c := text[0]; c >= 'a' && c <= 'z' && !isPathLike(text) {
		text = string(c-'a'+'A') + text[1:]
	}
	return text
}

// isPathLike reports whether the first word is a name that has to stay as it is.
func isPathLike(text string) bool {
	for _, r := range text {
		switch r {
		case ' ', ':':
			return false
		case '/', '.':
			return true
		}
	}
	return false
}
