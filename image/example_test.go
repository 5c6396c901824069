package image_test

import (
	"context"
	"fmt"
	"io"
	iofs "io/fs"
	"log"
	"os"
	"path/filepath"
	"strings"
	"time"

	"fatvol/image"
	"fatvol/image/mkfat"
)

// exampleImage makes an image in a directory that cleanUp removes.
func exampleImage() (path string, cleanUp func()) {
	dir, err := os.MkdirTemp("", "fatvol-example-")
	if err != nil {
		log.Fatal(err)
	}
	plan, err := mkfat.New(&mkfat.Node{Dir: true}, mkfat.Options{Size: 4 << 20, Label: "EXAMPLE"})
	if err != nil {
		log.Fatal(err)
	}
	path = filepath.Join(dir, "card.img")
	if err := plan.WriteFile(context.Background(), path, false, nil); err != nil {
		log.Fatal(err)
	}
	return path, func() { os.RemoveAll(dir) }
}

// An image is opened, written to and read without a mount.
func ExampleOpen() {
	path, cleanUp := exampleImage()
	defer cleanUp()

	card, err := image.Open(path)
	if err != nil {
		log.Fatal(err)
	}
	if err := card.MkdirAll("photos/2026", 0o777); err != nil {
		log.Fatal(err)
	}
	if err := card.WriteFile("photos/2026/first.txt", []byte("a picture\n"), 0o666); err != nil {
		log.Fatal(err)
	}
	text, err := card.ReadFile("PHOTOS/2026/FIRST.TXT") // case does not matter
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s", text)
	// All is on the medium, and the volume is clean, when Close returns nil.
	if err := card.Close(); err != nil {
		log.Fatal(err)
	}
	// Output: a picture
}

// It is a file system as package io/fs has them: whatever works on those works on an image.
func ExampleFS() {
	path, cleanUp := exampleImage()
	defer cleanUp()
	card, err := image.Open(path)
	if err != nil {
		log.Fatal(err)
	}
	defer card.Close()
	for _, name := range []string{"notes.txt", "docs/a.txt", "docs/b.md"} {
		if err := card.MkdirAll(filepath.Dir(name), 0o777); err != nil {
			log.Fatal(err)
		}
		if err := card.WriteFile(name, []byte(name), 0o666); err != nil {
			log.Fatal(err)
		}
	}

	err = iofs.WalkDir(card, ".", func(name string, e iofs.DirEntry, err error) error {
		fmt.Println(name)
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
	texts, err := iofs.Glob(card, "*/*.txt")
	fmt.Println(texts, err)
	// Output:
	// .
	// docs
	// docs/a.txt
	// docs/b.md
	// notes.txt
	// [docs/a.txt] <nil>
}

// A draft takes the place of a file in one step, or not at all.
func ExampleFS_Draft() {
	path, cleanUp := exampleImage()
	defer cleanUp()
	card, err := image.Open(path)
	if err != nil {
		log.Fatal(err)
	}
	defer card.Close()
	if err := card.WriteFile("config", []byte("old"), 0o666); err != nil {
		log.Fatal(err)
	}

	draft, err := card.Draft("config", 0o666)
	if err != nil {
		log.Fatal(err)
	}
	defer draft.Discard() // does nothing once the draft is committed
	if _, err := io.Copy(draft, strings.NewReader("new")); err != nil {
		log.Fatal(err)
	}
	before, _ := card.ReadFile("config")
	if err := draft.Commit(); err != nil {
		log.Fatal(err)
	}
	after, _ := card.ReadFile("config")
	fmt.Printf("%s, then %s\n", before, after)
	// Output: old, then new
}

// What FAT keeps and io/fs does not know is in Sys.
func ExampleFileAttr() {
	path, cleanUp := exampleImage()
	defer cleanUp()
	card, err := image.Open(path)
	if err != nil {
		log.Fatal(err)
	}
	defer card.Close()
	if err := card.WriteFile("A long name.text", nil, 0o666); err != nil {
		log.Fatal(err)
	}
	if err := card.Chtimes("A long name.text", time.Time{}, time.Date(2026, 1, 2, 3, 4, 5, 0, time.Local)); err != nil {
		log.Fatal(err)
	}
	info, err := card.Stat("a long name.text")
	if err != nil {
		log.Fatal(err)
	}
	attr := info.Sys().(*image.FileAttr)
	fmt.Println(info.Name(), attr.ShortName, info.ModTime().Format(time.TimeOnly)) // FAT has even seconds
	// Output: A long name.text ALONGN~1.TEX 03:04:04
}
