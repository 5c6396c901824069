package automount

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// Open mounts the volumes in one image below the directory, as it would be if it were found on a medium, and
// returns where. What is mounted already stays where it is.
func (h *Helper) Open(ctx context.Context, image string) (dirs []string, err error) {
	mounts, err := h.System.Mounts(h.Directory)
	if err != nil {
		return nil, err
	}
	taken := map[string]bool{}
	for _, m := range mounts {
		taken[m.name()] = true
		if m.Image == image {
			dirs = append(dirs, m.Dir)
		}
	}
	if len(dirs) > 0 {
		return dirs, nil
	}
	f, err := os.Open(image)
	if err != nil {
		return nil, reason(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, reason(err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("not a regular file")
	}
	list, refused := volumes(f, info.Size())
	if refused != "" {
		return nil, fmt.Errorf("%s", refused)
	}
	e := executor{&h.Config, h.System, &directory{path: h.Directory}}
	if err := e.dir.prepare(); err != nil {
		return nil, fmt.Errorf("the directory for volumes: %w", err)
	}
	for _, v := range list {
		several := len(list) > 1
		name := uniqueName(volumeName(image, v, several), func(n string) bool {
			_, err := os.Lstat(filepath.Join(h.Directory, n))
			return taken[n] || err == nil
		})
		taken[name] = true
		a := &action{do: doMount, image: image, volume: v, several: several, dir: filepath.Join(h.Directory, name)}
		if _, err := e.mount(ctx, a); err != nil {
			return dirs, err
		}
		dirs = append(dirs, a.dir)
	}
	return dirs, nil
}
