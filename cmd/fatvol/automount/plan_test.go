package automount

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// stage is a planner's test: a world that a test changes, and what the helper remembers of it.
type stage struct {
	t   *testing.T
	cfg Config
	w   world
	mem *memory
	// fails says how an action comes out; nil is that it works.
	fails func(a *action) *result
	found []Found // on every medium
	begun []string
}

const stageDir = "/run/media-of-user"

func newStage(t *testing.T) *stage {
	return &stage{t: t, cfg: DefaultConfig(), mem: newMemory(), w: world{now: time.Unix(1e9, 0)},
		found: []Found{{Path: "card.img", Volumes: []Volume{{Label: "PHOTOS", Kind: "FAT32", Serial: "1234-5678"}}}}}
}

func (s *stage) plug(dir string) *Medium {
	s.w.media = append(s.w.media, Medium{Dir: dir, Device: "/dev/sdb1", Name: filepath.Base(dir), Appears: len(s.begun) + 1, Why: "on USB"})
	return &s.w.media[len(s.w.media)-1]
}

// settle plans and carries out until nothing is left to do, and returns the actions, one a line.
func (s *stage) settle() string {
	s.t.Helper()
	first := len(s.begun)
	for range 20 {
		for _, m := range s.mem.forget(&s.w) {
			s.begun = append(s.begun, "safe "+m.Dir)
		}
		actions := plan(&s.cfg, stageDir, &s.w, s.mem)
		if len(actions) == 0 {
			return strings.Join(s.begun[first:], "\n")
		}
		for i := range actions {
			s.run(&actions[i])
		}
	}
	s.t.Fatalf("no end of actions:\n%s", strings.Join(s.begun[first:], "\n"))
	return ""
}

func (s *stage) run(a *action) {
	line := string(a.do)
	switch a.do {
	case doTell:
		line += " " + string(a.notice.kind) + " " + filepath.Base(a.notice.about)
	case doUnmount, doDetach:
		line += " " + filepath.Base(a.dir) + " " + string(a.cause)
	case doMount, doAdopt, doRemove:
		line += " " + filepath.Base(a.dir)
	default:
		line += " " + a.medium.Dir
	}
	s.begun = append(s.begun, strings.TrimSpace(line))
	s.mem.begin(a, s.w.now)
	r := &result{}
	if s.fails != nil {
		if f := s.fails(a); f != nil {
			r = f
		}
	}
	switch {
	case a.do == doSearch:
		r.search = &Search{Files: s.found}
	case a.do == doMount && r.err == nil:
		s.w.mounts = append(s.w.mounts, Mount{Dir: a.dir, Image: a.image, State: Present, Serial: a.volume.Serial, Since: s.w.now})
	case (a.do == doUnmount || a.do == doDetach) && !r.still:
		s.w.mounts = slices.DeleteFunc(s.w.mounts, func(m Mount) bool { return m.Dir == a.dir })
	case a.do == doRemove && r.err == nil:
		s.w.idle = slices.DeleteFunc(s.w.idle, func(dir string) bool { return dir == a.dir })
	case a.do == doFinish && r.err == nil:
		s.w.media = slices.DeleteFunc(s.w.media, func(m Medium) bool { return m.Dir == a.medium.Dir })
	}
	s.mem.end(a, r, s.w.now)
}

func (s *stage) want(lines ...string) {
	s.t.Helper()
	if got, want := s.settle(), strings.Join(lines, "\n"); got != want {
		s.t.Errorf("at %v:\n%s\nwant:\n%s", s.w.now.Unix()-1e9, indent(got), indent(want))
	}
}

func indent(text string) string { return "\t" + strings.ReplaceAll(text, "\n", "\n\t") }

func (s *stage) later(d time.Duration) { s.w.now = s.w.now.Add(d) }

// gone lets the volume's medium go.
func (s *stage) gone(files int) *Mount {
	m := &s.w.mounts[0]
	m.State, m.Since, m.Files, m.Unsaved, m.Reason = Gone, s.w.now, files, int64(files*100), "removed"
	s.w.media = nil
	return m
}

// busy fails all unmounts that are not lazy.
func busy(a *action) *result {
	if a.do == doUnmount {
		return &result{still: true, said: "busy: PID 7 (backup): open file"}
	}
	return nil
}

// mountedStage has PHOTOS mounted from /media/STICK.
func mountedStage(t *testing.T) *stage {
	s := newStage(t)
	s.plug("/media/STICK")
	s.want("search /media/STICK", "mount PHOTOS")
	return s
}

// TestPlanStory goes through what happens to people, and looks at each step's actions.
func TestPlanStory(t *testing.T) {
	for name, story := range map[string]func(s *stage){
		"a fixed disk is left alone, and that is said once": func(s *stage) {
			s.plug("/data").Refused = "not removable"
			s.want("skip /data")
			s.want()
		},
		"unmounted by hand, it is not mounted again": func(s *stage) {
			s.plug("/media/STICK")
			s.settle()
			s.w.mounts = nil
			s.w.idle = []string{stageDir + "/PHOTOS"}
			s.want("remove PHOTOS")
			s.want()
			s.w.media[0].Appears++
			s.want("search /media/STICK", "mount PHOTOS")
		},
		"an image that cannot be mounted is tried once": func(s *stage) {
			s.fails = func(a *action) *result { return &result{err: errors.New("damaged")} }
			s.plug("/media/STICK")
			s.want("search /media/STICK", "mount PHOTOS")
			s.later(time.Hour)
			s.want()
		},
		"a directory that cannot be removed is tried once": func(s *stage) {
			s.fails = func(a *action) *result { return &result{err: errors.New("not empty")} }
			s.w.idle = []string{stageDir + "/left"}
			s.want("remove left")
			s.want()
		},
		"a crashed helper's mounts are taken over, dead ones are detached once": func(s *stage) {
			s.plug("/media/STICK")
			s.w.mounts = []Mount{{Dir: stageDir + "/A", Image: "/media/STICK/card.img", State: Present}, {Dir: stageDir + "/B", Image: "/x", State: Dead}}
			s.fails = func(a *action) *result { return &result{still: true} }
			s.want("adopt A", "adopt B", "search /media/STICK", "detach B", "tell died B", "refuse /media/STICK")
			s.want()
		},
	} {
		t.Run(name, func(t *testing.T) {
			story(newStage(t))
		})
	}
}

// TestPlanPulled: what happens while the medium is away, by what was unsaved and who uses the volume.
func TestPlanPulled(t *testing.T) {
	t.Run("nobody uses it, nothing is unsaved: it does not stay listed", func(t *testing.T) {
		s := mountedStage(t)
		s.gone(0)
		s.want("tell removed PHOTOS", "unmount PHOTOS unused")
		s.plug("/media/STICK")
		s.want("search /media/STICK", "mount PHOTOS")
	})
	t.Run("a program uses it: it waits, and no unmount is tried again", func(t *testing.T) {
		s := mountedStage(t)
		s.fails = busy
		m := s.gone(0)
		s.want("tell removed PHOTOS", "unmount PHOTOS unused")
		for range 5 {
			s.later(time.Minute)
			s.want()
		}
		s.plug("/media/STICK")
		s.want("search /media/STICK") // its serving process looks whether it is the right one
		m.State = Verifying
		s.want()
		m.State = Present
		s.want("tell back PHOTOS", "refuse /media/STICK")
		s.gone(0)
		s.want("tell removed PHOTOS", "unmount PHOTOS unused")
	})
	t.Run("unsaved, and it stays away: unmounted in time, however busy, and once", func(t *testing.T) {
		s := mountedStage(t)
		s.fails = busy
		s.gone(3)
		s.want("tell removed PHOTOS")
		s.later(9 * time.Minute)
		s.want()
		s.later(time.Minute)
		s.want("unmount PHOTOS expired", "detach PHOTOS expired")
	})
	t.Run("how many files are unsaved is not known at once", func(t *testing.T) {
		s := mountedStage(t)
		m := s.gone(1)
		m.Files = 0
		s.want()
		m.Files = 1
		s.want("tell removed PHOTOS")
	})
	t.Run("no file at all is unsaved, but something is", func(t *testing.T) {
		s := mountedStage(t)
		s.gone(1).Files = 0
		s.want()
		s.later(countTime)
		s.want("tell removed PHOTOS")
	})
	t.Run("not even detached: no loop", func(t *testing.T) {
		s := mountedStage(t)
		s.fails = func(a *action) *result { return &result{still: true} }
		s.gone(3)
		s.later(time.Hour)
		s.want("tell removed PHOTOS", "unmount PHOTOS expired", "detach PHOTOS expired")
		s.later(time.Hour)
		s.want()
	})
	t.Run("another medium: it is left alone, and mounted beside what waits", func(t *testing.T) {
		s := mountedStage(t)
		m := s.gone(2)
		s.want("tell removed PHOTOS")
		s.plug("/media/STICK")
		s.found = []Found{{Path: "card.img", Volumes: []Volume{{Label: "PHOTOS", Kind: "FAT16", Serial: "0BAD-CAFE"}}}}
		s.want("search /media/STICK")
		m.Refused, m.RefusedAt = RefusedOther, s.w.now.Add(time.Second)
		s.later(2 * time.Second)
		s.want("tell other PHOTOS", "mount PHOTOS 2")
		// A refusal of before says nothing about what comes now.
		s.w.media, s.w.mounts = nil, s.w.mounts[:1]
		s.later(time.Minute)
		s.plug("/media/STICK")
		s.want("search /media/STICK")
		s.w.mounts[0].State = Present
		s.want("tell back PHOTOS", "refuse /media/STICK")
	})
	t.Run("back under another path: what is unsaved goes by way of the replay file", func(t *testing.T) {
		s := mountedStage(t)
		s.gone(2)
		s.want("tell removed PHOTOS")
		s.plug("/media/STICK1")
		s.want("search /media/STICK1", "unmount PHOTOS moved", "mount PHOTOS")
	})
	t.Run("changed elsewhere: nothing is touched", func(t *testing.T) {
		s := mountedStage(t)
		m := s.gone(2)
		s.want("tell removed PHOTOS")
		s.plug("/media/STICK")
		m.Refused, m.RefusedAt = RefusedChanged, s.w.now.Add(time.Second)
		s.want("tell changed PHOTOS", "search /media/STICK", "refuse /media/STICK")
	})
}

// TestPlanEject: somebody else than us unmounts the medium.
func TestPlanEject(t *testing.T) {
	t.Run("the desktop tries again by itself", func(t *testing.T) {
		s := mountedStage(t)
		s.w.media[0].Asked = 1
		s.want("heed /media/STICK", "unmount PHOTOS asked")
		s.later(2 * time.Second)
		s.w.media = nil
		s.want("safe /media/STICK")
	})
	t.Run("nobody tries again: we do, once", func(t *testing.T) {
		s := mountedStage(t)
		s.fails = func(a *action) *result {
			if a.do == doFinish {
				return &result{err: errors.New("target is busy")}
			}
			return nil
		}
		s.w.media[0].Asked = 1
		s.want("heed /media/STICK", "unmount PHOTOS asked")
		s.later(2 * time.Second)
		s.want()
		s.later(time.Second)
		s.want("finish /media/STICK")
		s.w.media[0].Asked++ // that was us
		s.later(time.Hour)
		s.want("heed /media/STICK")
		s.later(time.Hour)
		s.want()
	})
	t.Run("it works: the medium can be removed", func(t *testing.T) {
		s := mountedStage(t)
		s.w.media[0].Asked = 1
		s.settle()
		s.later(3 * time.Second)
		s.want("finish /media/STICK", "safe /media/STICK")
	})
	t.Run("a program uses the volume: tried once for each request", func(t *testing.T) {
		s := mountedStage(t)
		s.fails = busy
		s.w.media[0].Asked = 1
		s.want("heed /media/STICK", "unmount PHOTOS asked")
		s.later(time.Hour)
		s.want()
		s.fails = nil
		s.w.media[0].Asked = 2
		s.want("heed /media/STICK", "unmount PHOTOS asked")
	})
}

func TestNames(t *testing.T) {
	for i, c := range []struct {
		image, label string
		several      bool
		want         string
	}{
		{"/m/card.img", "PHOTOS", false, "PHOTOS"},
		{"/m/card.img", "", false, "card"},
		{"/m/card.img", "NO NAME", true, "card 2"},
		{"/m/.img", "../..", false, "_.."},
		{"/m/x.img", "a/b\\c\x00\x1b[2J\u202e", false, "a_b_c[2J"},
		{"/m/...", "", false, "volume"},
		{"/m/x.img", strings.Repeat("ä", 100), false, strings.Repeat("ä", 32)},
	} {
		if got := volumeName(c.image, Volume{Partition: 2, Label: c.label}, c.several); got != c.want {
			t.Errorf("%d: %q, want %q", i, got, c.want)
		}
	}
	taken := map[string]bool{"A": true, "A 2": true}
	if got := uniqueName("A", func(n string) bool { return taken[n] }); got != "A 3" {
		t.Errorf("unique: %q", got)
	}
}

func TestMediumOf(t *testing.T) {
	media := []Medium{{Dir: "/"}, {Dir: "/media/A"}, {Dir: "/media/A/B"}, {Dir: "/media/AB"}}
	for path, want := range map[string]string{"/x": "/", "/media/A/x": "/media/A", "/media/A/B/x": "/media/A/B", "/media/ABC/x": "/", "/media/AB/x": "/media/AB"} {
		if got := mediumOf(media, path); got == nil || got.Dir != want {
			t.Errorf("%s: %v, want %s", path, got, want)
		}
	}
}

func TestNotices(t *testing.T) {
	m := &Mount{Dir: "/r/PHOTOS", Image: "/m/card.img", Files: 2, Unsaved: 10}
	for _, c := range []struct {
		n    notice
		want string
	}{
		{removedNotice(m, "STICK"), "PHOTOS was removed: 2 files are not saved. Put STICK back: nothing is lost, and what is open goes on. (urgent)"},
		{removedNotice(&Mount{Dir: "/r/PHOTOS"}, "STICK"), "PHOTOS was removed: Everything on it was saved."},
		{removedNotice(&Mount{Dir: "/r/PHOTOS", Names: true}, ""), "PHOTOS was removed: Changes of names and times are not saved. Put it back: nothing is lost, and what is open goes on. (urgent)"},
		{backNotice(m, &mountMemory{files: 1, unsaved: true}), "PHOTOS is back and saved: 1 file has been saved."},
		{backNotice(m, &mountMemory{}), "PHOTOS is back: Everything goes on."},
		{otherNotice(m, &mountMemory{medium: "STICK"}), "This is not the medium with PHOTOS: It is left as it is. 2 files are still not saved: put STICK back. (urgent)"},
		{endedNotice(m, "kept in /x"), "PHOTOS was closed: Its medium did not come back. Kept in /x. (urgent)"},
		{busyNotice(&Medium{Name: "STICK"}, "busy: PID 7"), "STICK cannot be removed yet: Busy: PID 7."},
		{failedNotice("/m/card.img", "STICK", errors.New("/m/card.img: damaged")), "card.img on STICK cannot be opened: /m/card.img: damaged."},
	} {
		got := fmt.Sprintf("%s: %s", c.n.summary, c.n.body)
		if c.n.urgent {
			got += " (urgent)"
		}
		if got != c.want {
			t.Errorf("%s\nwant\n%s", got, c.want)
		}
	}
}
