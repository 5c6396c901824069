//go:build linux

package vm

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// cacheDir holds what prepare.sh has fetched.
const cacheDir = "cache"

// errNotPrepared is returned when prepare.sh has not run, or could not fetch what it should.
var errNotPrepared = errors.New("not there; integration/vm/prepare.sh fetches it")

// wantedModules are what the guest loads before it runs anything, besides what they need.
var wantedModules = []string{
	"virtio_pci", "virtio_console", "virtio_blk",
	"xhci_pci", "usb_storage", "uas", "sd_mod",
	"loop", "ext4", "crc32c_generic", "vfat", "fuse", "dm_mod", "nfsv3",
	"nls_cp437", "nls_cp850", "nls_cp1251", "nls_cp932", "nls_ascii", "nls_iso8859_1", "nls_iso8859_15", "nls_utf8",
}

// kernelImage returns the kernel for QEMU to boot. Under emulation, Debian's image takes longer to
// unpack itself than to boot, so it is unpacked here, once, where its compression is known.
func kernelImage() (path string, err error) {
	packed := filepath.Join(cacheDir, "kernel", "vmlinuz")
	unpacked := filepath.Join(cacheDir, "kernel", "vmlinux")
	if _, err := os.Stat(unpacked); err == nil {
		return unpacked, nil
	}
	image, err := os.ReadFile(packed)
	if err != nil {
		return "", fmt.Errorf("the guest's kernel %s: %w", packed, errNotPrepared)
	}
	vmlinux, err := unpackKernel(image)
	if err != nil {
		return packed, nil // it boots too, only slower
	}
	tmp, err := os.CreateTemp(filepath.Dir(unpacked), "vmlinux.")
	if err != nil {
		return packed, nil // the cache belongs to somebody else
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(vmlinux)
	if err := errors.Join(err, tmp.Chmod(0o644), tmp.Close()); err != nil {
		return "", err
	}
	return unpacked, os.Rename(tmp.Name(), unpacked)
}

// unpackKernel returns the ELF file in a bzImage whose header says where it is (Linux, Documentation
// /arch/x86/boot.rst, version 2.08 and later), provided that it can be booted directly (PVH).
func unpackKernel(image []byte) ([]byte, error) {
	const setupSectors, magic, version, offset, length, headerEnd = 0x1f1, 0x202, 0x206, 0x248, 0x24c, 0x250
	if len(image) < headerEnd || string(image[magic:magic+4]) != "HdrS" || binary.LittleEndian.Uint16(image[version:]) < 0x208 {
		return nil, errors.New("no bzImage")
	}
	start := (int64(image[setupSectors])+1)*512 + int64(binary.LittleEndian.Uint32(image[offset:]))
	end := start + int64(binary.LittleEndian.Uint32(image[length:]))
	if start >= end || end > int64(len(image)) {
		return nil, fmt.Errorf("payload from %d to %d in %d bytes", start, end, len(image))
	}
	payload := image[start:end]
	var tool []string
	switch {
	case bytes.HasPrefix(payload, []byte("\xfd7zXZ\x00")):
		tool = []string{"xz", "-dc", "--single-stream"}
	case bytes.HasPrefix(payload, []byte("\x28\xb5\x2f\xfd")):
		tool = []string{"zstd", "-dc"}
	case bytes.HasPrefix(payload, []byte("\x1f\x8b")):
		tool = []string{"gzip", "-dc"}
	default:
		return nil, fmt.Errorf("payload of unknown compression % x", payload[:4])
	}
	cmd := exec.Command(tool[0], tool[1:]...)
	cmd.Stdin = bytes.NewReader(payload)
	vmlinux, _ := cmd.Output() // the size that follows the payload makes some of them complain at the end
	file, err := elf.NewFile(bytes.NewReader(vmlinux))
	if err != nil {
		return nil, err
	}
	for _, p := range file.Progs {
		if p.Type != elf.PT_NOTE || p.Filesz > uint64(len(vmlinux)) {
			continue
		}
		note := make([]byte, p.Filesz)
		// XEN_ELFNOTE_PHYS32_ENTRY is the entry point that QEMU uses.
		if n, _ := p.ReadAt(note, 0); bytes.Contains(note[:n], []byte("\x12\x00\x00\x00Xen\x00")) {
			return vmlinux, nil
		}
	}
	return nil, errors.New("the kernel has no PVH entry point")
}

// kernelModules returns the files of the wanted modules and of what they need, in the order in
// which they can be loaded. Modules that are built into the kernel are left out.
func kernelModules(wanted []string) (files []string, err error) {
	root := filepath.Join(cacheDir, "kernel", "modules")
	byName := map[string]string{}
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".ko") {
			byName[moduleName(path)] = path
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("the kernel's modules %s: %w", root, errNotPrepared)
	}
	builtin, err := os.ReadFile(filepath.Join(root, "modules.builtin"))
	if err != nil {
		return nil, err
	}
	state := map[string]bool{} // false while its own needs are looked at
	for path := range strings.FieldsSeq(string(builtin)) {
		state[moduleName(path)] = true
	}
	var add func(name string) error
	add = func(name string) error {
		if done, seen := state[name]; seen {
			if !done {
				return fmt.Errorf("module %s needs itself", name)
			}
			return nil
		}
		path, ok := byName[name]
		if !ok {
			return fmt.Errorf("module %s: %w", name, errNotPrepared)
		}
		state[name] = false
		needs, err := moduleNeeds(path)
		if err != nil {
			return err
		}
		for _, need := range needs {
			if err := add(need); err != nil {
				return fmt.Errorf("%w, which %s needs", err, name)
			}
		}
		state[name] = true
		files = append(files, path)
		return nil
	}
	for _, name := range wanted {
		if err := add(name); err != nil {
			return nil, err
		}
	}
	return files, nil
}

// moduleName is the name that the kernel gives the module in a file.
func moduleName(path string) string {
	name, _, _ := strings.Cut(filepath.Base(path), ".")
	return strings.ReplaceAll(name, "-", "_")
}

// moduleNeeds reads the names of the modules that one needs.
func moduleNeeds(path string) (needs []string, err error) {
	f, err := elf.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	section := f.Section(".modinfo")
	if section == nil {
		return nil, fmt.Errorf("%s has no .modinfo", path)
	}
	info, err := section.Data()
	if err != nil {
		return nil, err
	}
	for field := range bytes.SplitSeq(info, []byte{0}) {
		if list, ok := strings.CutPrefix(string(field), "depends="); ok {
			for need := range strings.SplitSeq(list, ",") {
				if need != "" {
					needs = append(needs, strings.ReplaceAll(need, "-", "_"))
				}
			}
		}
	}
	return needs, nil
}
