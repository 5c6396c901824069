package automount

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"time"
)

// Bounds of what a single action may take. A call of a host that hangs ends by fatvol's own deadlines.
const (
	mountTime   = 5 * time.Minute // a medium may be slow, and a replay long
	unmountTime = 5 * time.Minute
	finishTime  = time.Minute
)

// executor carries out actions.
type executor struct {
	cfg *Config
	sys System
	dir *directory
}

// do carries out an action that takes its time. doTell and what only changes the memory are not among them.
func (e *executor) do(ctx context.Context, a *action) (r result) {
	switch a.do {
	case doSearch:
		r.search, r.err = searchIn(ctx, e.sys.SearchCommand(), a.medium.Dir, e.cfg.Images)
	case doMount:
		r.said, r.err = e.mount(ctx, a)
	case doUnmount, doDetach:
		ctx, cancel := context.WithTimeout(ctx, unmountTime)
		defer cancel()
		r.said, r.still, r.err = e.sys.Unmount(ctx, a.dir, a.do == doDetach)
		if !r.still {
			r.err = errors.Join(r.err, e.dir.remove(filepath.Base(a.dir)))
		}
	case doRemove:
		r.err = e.dir.remove(filepath.Base(a.dir))
	case doFinish:
		ctx, cancel := context.WithTimeout(ctx, finishTime)
		defer cancel()
		r.err = e.sys.UnmountHost(ctx, a.medium)
	}
	return r
}

func (e *executor) mount(ctx context.Context, a *action) (said string, err error) {
	name := filepath.Base(a.dir)
	point, err := e.dir.make(name)
	if err != nil {
		return "", err
	}
	defer point.Close()
	ctx, cancel := context.WithTimeout(ctx, mountTime)
	defer cancel()
	if said, err = e.sys.Mount(ctx, a.image, a.dir, mountOptions(e.cfg.Options, a)); err != nil {
		return "", errors.Join(err, e.dir.remove(name))
	}
	// What is under the mount is nobody's to write into once it is gone.
	return said, shut(point)
}

// mountOptions are those of the configuration, and what file managers read.
func mountOptions(configured string, a *action) string {
	list := []string{"x-gvfs-show", "x-gvfs-name=" + url.PathEscape(filepath.Base(a.dir))}
	if a.several {
		list = append(list, "ro", fmt.Sprintf("partition=%d", a.volume.Partition))
	}
	if configured != "" {
		list = append([]string{configured}, list...)
	}
	return strings.Join(list, ",")
}
