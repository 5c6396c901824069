package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/moby/sys/mountinfo"
	"github.com/spf13/cobra"

	"fatvol/image"
	"fatvol/image/device"
	"fatvol/image/fat"
)

// imageInfo is what `fatvol info` tells about an image; it is also the JSON form. All sizes and
// offsets are bytes.
type imageInfo struct {
	Path       string          `json:"path"`
	Size       int64           `json:"size"`
	State      string          `json:"state"` // "mounted" or "not mounted"
	MountedOn  []string        `json:"mounted_on,omitempty"`
	Scheme     string          `json:"scheme"` // none, mbr, gpt, hybrid
	SectorSize int             `json:"sector_size,omitempty"`
	DiskID     string          `json:"disk_id,omitempty"`
	Partitions []partitionInfo `json:"partitions"`
	Notes      []string        `json:"notes,omitempty"`
	Damage     string          `json:"damage,omitempty"`
}

// partitionInfo is a partition, or the whole image, which has the number 0.
type partitionInfo struct {
	Number   int         `json:"number"`
	Start    int64       `json:"start"`
	Size     int64       `json:"size"`
	Type     string      `json:"type,omitempty"`
	TypeName string      `json:"type_name,omitempty"`
	Name     string      `json:"name,omitempty"`
	UUID     string      `json:"uuid,omitempty"`
	Bootable bool        `json:"bootable,omitempty"`
	Logical  bool        `json:"logical,omitempty"`
	Content  string      `json:"content"`
	Volume   *volumeInfo `json:"volume,omitempty"`
	Problems []string    `json:"problems,omitempty"`
}

// volumeInfo is a FAT volume.
type volumeInfo struct {
	Width        int           `json:"fat"`
	Label        string        `json:"label"`
	Serial       string        `json:"serial,omitempty"`
	OEM          string        `json:"oem"`
	Size         int64         `json:"size"`
	SectorSize   int           `json:"sector_size"`
	ClusterSize  int           `json:"cluster_size"`
	Clusters     uint32        `json:"clusters"`
	FreeClusters *uint32       `json:"free_clusters,omitempty"` // absent when the FAT cannot be read
	FreeBytes    *int64        `json:"free_bytes,omitempty"`
	FATs         int           `json:"fats"`
	FATSize      int64         `json:"fat_size"`
	RootEntries  int           `json:"root_entries,omitempty"`
	Media        string        `json:"media"`
	Dirty        bool          `json:"dirty"`
	HardError    bool          `json:"hard_error"`
	Fragments    *fragmentInfo `json:"fragments,omitempty"`
}

func infoCommand() *cobra.Command {
	var asJSON, fragments bool
	var options []string
	cmd := &cobra.Command{
		Use:   "info IMAGE",
		Short: "Show the partitions and FAT volumes in IMAGE",
		Long: "Shows how IMAGE is divided, what each part holds, and of each FAT volume its geometry,\n" +
			"label, serial number, free space and state. It reads only, also while IMAGE is mounted;\n" +
			"what it then shows is what is on the medium at that moment.",
		Example: "  fatvol info disk.img\n" +
			"  fatvol info --json disk.img | jq '.partitions[].volume.label'",
		Args: exactly("IMAGE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := parseMountOptions(currentCaller(), options, false)
			if err != nil {
				return failf(exitUsage, "info %s: %w", args[0], err)
			}
			info, err := readInfo(args[0], cfg, fragments)
			if err != nil {
				return failf(exitFailed, "info %s: %w", args[0], withoutPath(args[0], err))
			}
			if asJSON {
				out := json.NewEncoder(cmd.OutOrStdout())
				out.SetIndent("", "  ")
				return withCode(exitSystem, out.Encode(info))
			}
			_, err = fmt.Fprint(cmd.OutOrStdout(), info.text())
			return withCode(exitSystem, err)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&asJSON, "json", false, "print JSON")
	f.BoolVar(&fragments, "fragments", false, "count fragments; reads the whole FAT")
	f.StringArrayVarP(&options, "options", "o", nil, "mount `options` that say how to read the volume: codepage=, fat=, dos1xfloppy")
	return cmd
}

// readInfo looks at an image, without taking it from whoever has it.
func readInfo(path string, cfg *config, fragments bool) (*imageInfo, error) {
	host, _, err := image.OpenHost(path, image.OpenOptions{ReadOnly: true, NoLock: true})
	if err != nil {
		return nil, err
	}
	defer host.Close()
	layout, err := image.ScanWith(host, image.ScanOptions{Geometry: cfg.fat.Geometry})
	if err != nil {
		return nil, err
	}
	info := &imageInfo{
		Path: path, Size: layout.Size, State: "not mounted",
		Scheme: string(layout.Scheme), SectorSize: layout.SectorSize, DiskID: layout.ID,
		Partitions: []partitionInfo{}, Notes: layout.Notes,
	}
	if layout.Damage != nil {
		info.Damage = layout.Damage.Error()
	}
	if info.MountedOn = mountsOf(path); len(info.MountedOn) > 0 {
		info.State = "mounted"
	}
	for _, p := range layout.Partitions {
		info.Partitions = append(info.Partitions, readPartition(host, p, cfg, fragments))
	}
	return info, nil
}

// mountsOf lists where fatvol has the image mounted.
func mountsOf(path string) []string {
	abs, err := absoluteImage(path)
	if err != nil {
		return nil
	}
	infos, err := mountinfo.GetMounts(func(m *mountinfo.Info) (skip, stop bool) {
		return m.FSType != fuseType || m.Source != abs, false
	})
	if err != nil {
		return nil
	}
	var dirs []string
	for _, m := range infos {
		dirs = append(dirs, m.Mountpoint)
	}
	return dirs
}

func readPartition(host device.Device, p image.Partition, cfg *config, fragments bool) partitionInfo {
	out := partitionInfo{
		Number: p.Number, Start: p.Start, Size: p.Size, Type: p.Type, TypeName: p.TypeName,
		Name: p.Name, UUID: p.UUID, Bootable: p.Bootable, Logical: p.Logical, Content: p.Content.Kind,
	}
	if p.Extended {
		out.Content = "extended"
	}
	for _, err := range []error{p.Err, p.Overlap, p.Content.Err} {
		if err != nil {
			out.Problems = append(out.Problems, err.Error())
		}
	}
	if !p.Content.IsFAT() {
		return out
	}
	out.Volume = geometryInfo(p.Content)
	if err := out.Volume.measure(host, p, cfg, fragments); err != nil {
		out.Problems = append(out.Problems, err.Error())
	}
	return out
}

// geometryInfo is what the boot sector tells.
func geometryInfo(c image.Content) *volumeInfo {
	g := c.Geometry
	return &volumeInfo{
		Width: int(g.Width), Label: c.Label, Serial: c.Serial(), OEM: strings.TrimRight(g.OEM, " \x00"),
		Size: g.Size, SectorSize: g.SectorSize, ClusterSize: g.ClusterSize, Clusters: g.Clusters,
		FATs: g.FATs, FATSize: g.FATBytes, RootEntries: g.RootEntries,
		Media: fmt.Sprintf("0x%02x", g.Media), Dirty: g.Dirty, HardError: g.HardError,
	}
}

// measure adds what it takes to open the volume for.
func (out *volumeInfo) measure(host device.Device, p image.Partition, cfg *config, fragments bool) error {
	section, err := device.NewSection(host, p.Start, p.Size)
	if err != nil {
		return err
	}
	opt := cfg.fat
	opt.ReadOnly = true
	opt.Log = slog.New(slog.DiscardHandler) // what it would say is in the report
	volume, err := fat.Open(device.ReadOnly(section), opt)
	if err != nil {
		return err
	}
	stat, statErr := volume.Stat()
	if statErr == nil {
		bytes := int64(stat.Free) * int64(stat.ClusterSize)
		out.FreeClusters, out.FreeBytes = &stat.Free, &bytes
	}
	label, labelErr := volume.Label()
	if labelErr == nil {
		out.Label = label
	}
	var fragErr error
	if fragments {
		out.Fragments, fragErr = countFragments(section, p.Content.Geometry)
	}
	return errors.Join(statErr, labelErr, fragErr, volume.Close())
}
