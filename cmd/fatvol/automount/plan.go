package automount

import (
	"fmt"
	"path/filepath"
	"time"
)

// plan says what is to be done now. It changes nothing and looks at nothing but its arguments.
func plan(cfg *Config, directory string, w *world, mem *memory) []action {
	p := &planner{cfg: cfg, directory: directory, w: w, mem: mem, taken: map[string]bool{}}
	for _, m := range w.mounts {
		p.taken[m.name()] = true
	}
	for dir := range mem.mounts {
		p.taken[filepath.Base(dir)] = true // being mounted
	}
	for i := range w.mounts {
		p.mounted(&w.mounts[i])
	}
	for i := range w.media {
		p.medium(&w.media[i])
	}
	for _, dir := range w.idle {
		if mem.stuck[dir] {
			continue
		}
		p.add(action{do: doRemove, dir: dir, why: "nothing is mounted on it"})
	}
	return p.actions
}

type planner struct {
	cfg       *Config
	directory string
	w         *world
	mem       *memory
	taken     map[string]bool // names below the directory
	actions   []action
}

// add adds an action, unless another one about the same thing is under way.
func (p *planner) add(a action) {
	if !p.mem.underway[a.subject()] {
		p.actions = append(p.actions, a)
	}
}

func (p *planner) tell(m *Mount, n notice) {
	n.about = m.Dir
	p.add(action{do: doTell, dir: m.Dir, mount: *m, notice: n, why: "the volume is " + string(m.State)})
}

// mounted plans for a volume that is mounted.
func (p *planner) mounted(m *Mount) {
	mm := p.mem.mounts[m.Dir]
	if mm == nil {
		a := action{do: doAdopt, dir: m.Dir, mount: *m, why: "it lies in our directory"}
		if on := mediumOf(p.w.media, m.Image); on != nil {
			a.medium = *on
		}
		p.add(a)
		return
	}
	if p.mem.underway[m.Dir] {
		return
	}
	switch m.State {
	case Dead:
		if mm.let {
			return
		}
		p.add(action{do: doDetach, dir: m.Dir, mount: *m, why: "the process that served it has died: " + m.Reason})
		p.tell(m, diedNotice(m))
	case Present:
		if mm.told == noticeRemoved || mm.told == noticeOther || mm.told == noticeChanged {
			p.tell(m, backNotice(m, mm))
		}
	case Gone, Verifying:
		p.away(m, mm)
	}
}

// countTime is how long the number of unsaved files may take to be known: a busy volume does not say at once.
const countTime = 2 * time.Second

// away plans for a volume whose medium is not there.
func (p *planner) away(m *Mount, mm *mountMemory) {
	if mm.told == noticeNone {
		if m.Unsaved > 0 && m.Files == 0 && p.w.now.Sub(m.Since) < countTime {
			return
		}
		p.tell(m, removedNotice(m, mm.medium))
	}
	if m.State == Verifying {
		return // it may be back
	}
	switch {
	case m.Refused == RefusedOther && mm.told != noticeOther:
		p.tell(m, otherNotice(m, mm))
	case m.Refused == RefusedChanged && mm.told != noticeChanged:
		p.tell(m, changedNotice(m, mm))
	}
	switch waited := p.w.now.Sub(m.Since); {
	case mm.let:
	case mm.expired:
		p.add(action{do: doDetach, dir: m.Dir, mount: *m, cause: causeExpired,
			why: "its time is up, and a program that will never be answered keeps it busy"})
	case waited >= time.Duration(p.cfg.Gone.Keep):
		p.add(action{do: doUnmount, dir: m.Dir, mount: *m, cause: causeExpired,
			why: fmt.Sprintf("its medium has been away for %v (gone.keep = %q)", waited.Round(time.Second), p.cfg.Gone.Keep)})
	case !m.unsaved() && !mm.tried:
		p.add(action{do: doUnmount, dir: m.Dir, mount: *m, cause: causeUnused,
			why: "its medium is gone and nothing is unsaved: if nobody uses it, nothing is left to wait for"})
	}
}

// medium plans for a medium that is mounted.
func (p *planner) medium(m *Medium) {
	mm := p.mem.media[m.key()]
	if mm == nil {
		mm = &mediumMemory{}
	}
	switch {
	case m.Refused != "":
		if !mm.skipped {
			p.add(action{do: doSkip, medium: *m, why: m.Refused})
		}
		return
	case m.Asked > mm.asked:
		p.add(action{do: doHeed, medium: *m, why: "somebody has tried to unmount it"})
		p.free(m)
		return
	case mm.leaving:
		p.finish(m, mm)
		return
	case mm.search == nil:
		p.add(action{do: doSearch, medium: *m, why: "it is a medium " + m.Why})
		return
	}
	for _, f := range mm.search.Files {
		p.found(m, mm, f)
	}
}

// free plans the unmount of all volumes in images on the medium.
func (p *planner) free(m *Medium) {
	for i := range p.w.mounts {
		v := &p.w.mounts[i]
		if on := mediumOf(p.w.media, v.Image); on != nil && on.Dir == m.Dir && v.State != Closed {
			p.add(action{do: doUnmount, dir: v.Dir, mount: *v, medium: *m, cause: causeAsked,
				why: m.Name + " is to be unmounted, and its image is in use as long as this is mounted"})
		}
	}
}

// finish plans the unmount of the medium that somebody asked for, and that failed because of us.
func (p *planner) finish(m *Medium, mm *mediumMemory) {
	wait := time.Duration(p.cfg.Eject.Finish)
	if wait == 0 || mm.done || mm.freed.IsZero() || p.w.now.Sub(mm.freed) < wait {
		return
	}
	for i := range p.w.mounts {
		if m.holds(p.w.mounts[i].Image) {
			return
		}
	}
	p.add(action{do: doFinish, medium: *m,
		why: fmt.Sprintf("it was to be unmounted, its images are, and nobody has tried again for %v (eject.finish)", p.cfg.Eject.Finish)})
}

// found plans for a file that was found on a medium.
func (p *planner) found(m *Medium, mm *mediumMemory, f Found) {
	image := filepath.Join(m.Dir, filepath.FromSlash(f.Path))
	if mm.handled[image] {
		return
	}
	if f.Refused != "" {
		p.add(action{do: doRefuse, medium: *m, image: image, why: f.Refused})
		return
	}
	for i := range p.w.mounts {
		v := &p.w.mounts[i]
		switch {
		case v.Image == image && v.away() && v.Refused == RefusedOther && v.RefusedAt.After(mm.seen):
			// That one waits for another medium.
		case v.Image == image && v.away() && v.Refused != RefusedChanged:
			return // its serving process will find out whether this is what it waits for
		case v.Image == image:
			p.add(action{do: doRefuse, medium: *m, image: image, why: "it is mounted on " + v.Dir})
			return
		case v.State == Gone && v.Serial != "" && f.has(v.Serial):
			// Serving processes look where the image was.
			if mm := p.mem.mounts[v.Dir]; mm == nil || mm.expired {
				return
			}
			p.add(action{do: doUnmount, dir: v.Dir, mount: *v, cause: causeMoved,
				why: fmt.Sprintf("its volume is at %s now; what is unsaved is kept, and written by the next mount", image)})
			return
		}
	}
	for _, v := range f.Volumes {
		several := len(f.Volumes) > 1
		name := uniqueName(volumeName(image, v, several), func(n string) bool { return p.taken[n] })
		p.taken[name] = true
		p.add(action{do: doMount, medium: *m, image: image, volume: v, several: several,
			dir: filepath.Join(p.directory, name), why: fmt.Sprintf("it holds a %s volume, on a medium %s", v.Kind, m.Why)})
	}
}
