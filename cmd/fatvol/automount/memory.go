package automount

import "time"

// world is what there is at one moment.
type world struct {
	now    time.Time
	media  []Medium
	mounts []Mount
	idle   []string // directories below ours on which nothing is mounted
}

// memory is what the helper knows besides. plan reads it; begin and end, which bracket each action, change it.
type memory struct {
	media    map[string]*mediumMemory // by the medium's key
	mounts   map[string]*mountMemory  // by directory
	underway map[string]bool          // subjects of actions that have begun and not ended
	stuck    map[string]bool          // directories that could not be removed
}

type mediumMemory struct {
	medium  Medium
	seen    time.Time // for the first time
	skipped bool      // that it is left alone has been said
	search  *Search
	handled map[string]bool // images, by path: what has been mounted once, or refused, is not mounted again
	asked   int             // requests to unmount that were dealt with
	leaving bool            // its images are unmounted on request
	freed   time.Time       // when the last of them was
	done    bool            // the medium itself was unmounted for whoever asked, or that failed
}

type mountMemory struct {
	medium  string // name of the medium, for people
	told    noticeKind
	files   int  // that were unsaved when it went
	unsaved bool // whether anything was
	tried   bool // to unmount it because nothing keeps it, in this absence
	expired bool // it has waited long enough, and a plain unmount was tried
	let     bool // go of it: it was detached, or that failed
}

func newMemory() *memory {
	return &memory{media: map[string]*mediumMemory{}, mounts: map[string]*mountMemory{}, underway: map[string]bool{}, stuck: map[string]bool{}}
}

// forget drops what is not there any more. It returns the media that went after all their images were
// unmounted on request: they can be taken out.
func (mem *memory) forget(w *world) (safe []Medium) {
	media := map[string]bool{}
	for i := range w.media {
		media[w.media[i].key()] = true
	}
	for key, m := range mem.media {
		if !media[key] {
			if m.leaving && !m.freed.IsZero() {
				safe = append(safe, m.medium)
			}
			delete(mem.media, key)
		}
	}
	mounts := map[string]bool{}
	for _, m := range w.mounts {
		mounts[m.Dir] = true
		delete(mem.stuck, m.Dir)
	}
	for dir := range mem.mounts {
		if !mounts[dir] && !mem.underway[dir] {
			delete(mem.mounts, dir)
		}
	}
	return safe
}

func (mem *memory) medium(m Medium) *mediumMemory {
	mm := mem.media[m.key()]
	if mm == nil {
		mm = &mediumMemory{medium: m, handled: map[string]bool{}}
		mem.media[m.key()] = mm
	}
	return mm
}

func (mem *memory) mount(dir string) *mountMemory {
	mm := mem.mounts[dir]
	if mm == nil {
		mm = &mountMemory{}
		mem.mounts[dir] = mm
	}
	return mm
}

// begin notes that an action is under way.
func (mem *memory) begin(a *action, now time.Time) {
	mem.underway[a.subject()] = true
	switch a.do {
	case doSearch:
		mem.medium(a.medium).seen = now
	case doSkip:
		mem.medium(a.medium).skipped = true
	case doRefuse:
		mem.medium(a.medium).handled[a.image] = true
	case doMount:
		mem.medium(a.medium).handled[a.image] = true
		mem.mount(a.dir).medium = a.medium.Name
	case doAdopt:
		mem.mount(a.dir).medium = a.medium.Name
	case doHeed:
		m := mem.medium(a.medium)
		m.asked, m.leaving = a.medium.Asked, true
	case doFinish:
		mem.medium(a.medium).done = true
	case doDetach:
		mem.mount(a.dir).let = true
	case doUnmount:
		switch mm := mem.mount(a.dir); a.cause {
		case causeUnused:
			mm.tried = true
		case causeExpired, causeMoved:
			mm.expired = true
		}
	case doTell:
		if a.dir == "" {
			break
		}
		mm := mem.mount(a.dir)
		mm.told = a.notice.kind
		switch a.notice.kind {
		case noticeRemoved:
			mm.files, mm.unsaved = a.mount.Files, a.mount.unsaved()
		case noticeBack:
			*mm = mountMemory{medium: mm.medium}
		}
	}
}

// end notes how it came out.
func (mem *memory) end(a *action, r *result, now time.Time) {
	delete(mem.underway, a.subject())
	switch a.do {
	case doSearch:
		m := mem.medium(a.medium)
		if m.search = r.search; m.search == nil {
			m.search = &Search{}
		}
	case doMount:
		if r.err != nil {
			delete(mem.mounts, a.dir)
		}
	case doRemove:
		if r.err != nil {
			mem.stuck[a.dir] = true
		}
	case doUnmount:
		if a.cause != causeAsked {
			break
		}
		switch m := mem.medium(a.medium); {
		case r.still:
			m.leaving, m.freed = false, time.Time{}
		default:
			// The unmount that follows is tried by us once, however it comes out.
			m.freed, m.done = now, false
		}
	}
}
