//go:build linux

// Nfsserver exports a directory by NFS version 3 on an address of the guest, for anybody who mounts it. The tests
// stop it, and let it go on, as a network does.
package main

import (
	"fmt"
	"net"
	"os"
	"time"

	"github.com/go-git/go-billy/v5"
	"github.com/go-git/go-billy/v5/osfs"
	nfs "github.com/willscott/go-nfs"
	"github.com/willscott/go-nfs/helpers"
)

// handles is how many files and directories a client can refer to: more than a test has.
const handles = 1024

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: nfsserver DIR ADDRESS")
		os.Exit(2)
	}
	l, err := net.Listen("tcp", os.Args[2])
	if err == nil {
		fmt.Println("listening")
		dir := exported{osfs.New(os.Args[1], osfs.WithBoundOS())}
		err = nfs.Serve(l, helpers.NewCachingHandler(helpers.NewNullAuthHandler(dir), handles))
	}
	fmt.Fprintln(os.Stderr, "nfsserver:", err)
	os.Exit(1)
}

// exported makes the attributes of files changeable, as a server's are.
type exported struct{ billy.Filesystem }

func (e exported) path(name string) string { return e.Join(e.Root(), name) }

func (e exported) Chmod(name string, mode os.FileMode) error { return os.Chmod(e.path(name), mode) }

func (e exported) Lchown(name string, uid, gid int) error { return os.Lchown(e.path(name), uid, gid) }

func (e exported) Chown(name string, uid, gid int) error { return os.Chown(e.path(name), uid, gid) }

func (e exported) Chtimes(name string, accessed, modified time.Time) error {
	return os.Chtimes(e.path(name), accessed, modified)
}
