package automount

import "fmt"

// String says what is done, and why, as what follows "would".
func (a *action) String() string {
	return a.phrase() + ": " + a.why
}

func (a *action) phrase() string {
	switch a.do {
	case doSkip:
		return fmt.Sprintf("leave %s (%s) alone", a.medium.Dir, a.medium.Device)
	case doSearch:
		return fmt.Sprintf("search %s (%s, %s) for images", a.medium.Dir, a.medium.Name, a.medium.Device)
	case doRefuse:
		return "not mount " + a.image
	case doMount:
		how := ""
		if a.several {
			how = fmt.Sprintf(", partition %d, read-only", a.volume.Partition)
		}
		return fmt.Sprintf("mount %s%s on %s", a.image, how, a.dir)
	case doAdopt:
		return fmt.Sprintf("look after %s, where %s is mounted", a.dir, a.mount.Image)
	case doUnmount:
		return "unmount " + a.dir
	case doDetach:
		return "detach " + a.dir
	case doRemove:
		return "remove the directory " + a.dir
	case doHeed:
		return fmt.Sprintf("free %s (%s)", a.medium.Dir, a.medium.Device)
	case doFinish:
		return fmt.Sprintf("unmount %s (%s)", a.medium.Dir, a.medium.Device)
	case doTell:
		return fmt.Sprintf("tell the user %q, %q", a.notice.summary, a.notice.body)
	}
	return string(a.do)
}
