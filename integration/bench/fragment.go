//go:build linux

package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

const (
	fragmentedSize     = 64 << 20 // bytes of the file that is in fragments
	fragmentedClusters = fragmentedSize / fragmentedCluster
	fragmentedCluster  = 4 << 10
	fragmentedVolume   = 2*fragmentedSize + 160*mib
)

// fragment takes every other piece of the file in the root directory of a FAT32 image that is not in use, which is
// in one piece of twice fragmentedSize: what is left are so many fragments, with free space between them. It does by
// itself what no driver would do.
func fragment(image string, fragments int64) (err error) {
	f, err := os.OpenFile(image, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	boot := make([]byte, 512)
	if _, err := f.ReadAt(boot, 0); err != nil {
		return err
	}
	sector := int64(binary.LittleEndian.Uint16(boot[11:]))
	cluster := sector * int64(boot[13])
	fats := sector * int64(binary.LittleEndian.Uint16(boot[14:]))
	fatSize := sector * int64(binary.LittleEndian.Uint32(boot[36:]))
	data := fats + int64(boot[16])*fatSize
	root := data + int64(binary.LittleEndian.Uint32(boot[44:])-2)*cluster
	entries := make([]byte, cluster)
	if _, err := f.ReadAt(entries, root); err != nil {
		return err
	}
	at := bytes.Index(entries, []byte("FILE    BIN"))
	if cluster != fragmentedCluster || at < 0 {
		return fmt.Errorf("%s: clusters of %d bytes, file at %d", image, cluster, at)
	}
	entry := entries[at:]
	first := int64(binary.LittleEndian.Uint16(entry[26:])) | int64(binary.LittleEndian.Uint16(entry[20:]))<<16
	table := make([]byte, 2*fragmentedClusters*4) // the file's part of the FAT
	length := fragmentedClusters / fragments      // of a fragment, in clusters
	place := func(i int64) int64 { return i/length*2*length + i%length }
	for i := range int64(fragmentedClusters) {
		next := first + place(i+1)
		if i == fragmentedClusters-1 {
			next = 0x0FFFFFFF
		}
		binary.LittleEndian.PutUint32(table[place(i)*4:], uint32(next))
	}
	for n := range int64(boot[16]) {
		if _, err := f.WriteAt(table, fats+n*fatSize+first*4); err != nil {
			return err
		}
	}
	binary.LittleEndian.PutUint32(entry[28:], fragmentedSize)
	if _, err := f.WriteAt(entries, root); err != nil {
		return err
	}
	unknown := bytes.Repeat([]byte{0xFF}, 8) // free clusters, and where to look for them
	_, err = f.WriteAt(unknown, sector*int64(binary.LittleEndian.Uint16(boot[48:]))+488)
	return err
}

// fragmented returns an image with such a file, and nothing free but what lies between its fragments.
func (b *bench) fragmented(fragments int64) (store string, err error) {
	return b.axisStore(count("fragments", int(fragments)), fragmentedVolume, func(store string) error {
		_, err := b.mounted(store, func(dir string, _ *server) error {
			if err := writeFile(filepath.Join(dir, fileName), 2*fragmentedSize); err != nil {
				return err
			}
			err := writeFile(filepath.Join(dir, "rest"), fragmentedVolume)
			if errors.Is(err, unix.ENOSPC) {
				return nil
			}
			return errors.Join(err, errors.New("there is more room than there should be"))
		})
		return errors.Join(err, fragment(store, fragments))
	})
}
