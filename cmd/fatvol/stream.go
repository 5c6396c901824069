package main

import (
	"io"
	iofs "io/fs"
	"os"
	"syscall"
	"time"
)

// A streamTree has one file, standard input to those who read, and standard output to those who write.
type streamTree struct{ out io.Writer }

func (t streamTree) Open(string) (iofs.File, error) { return unclosed{os.Stdin}, nil }

func (t streamTree) Stat(string) (iofs.FileInfo, error) { return os.Stdin.Stat() }

func (t streamTree) begin(string, iofs.FileMode, int64) (draft, error) {
	return streamDraft{t.out}, nil
}

func (t streamTree) ReadDir(string) ([]iofs.DirEntry, error)    { return nil, syscall.ENOTDIR }
func (t streamTree) Mkdir(string, iofs.FileMode) error          { return syscall.ENOTDIR }
func (t streamTree) Remove(string) error                        { return syscall.ENOTSUP }
func (t streamTree) Rename(string, string) error                { return syscall.ENOTSUP }
func (t streamTree) Chtimes(string, time.Time, time.Time) error { return syscall.ENOTSUP }

// unclosed is a file that others use as well.
type unclosed struct{ *os.File }

func (unclosed) Close() error { return nil }

// A streamDraft is what cannot be taken back.
type streamDraft struct{ io.Writer }

func (streamDraft) stamp(iofs.FileInfo) error { return nil }
func (streamDraft) Commit() error             { return nil }
func (streamDraft) Discard() error            { return nil }
