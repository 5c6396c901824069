package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
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
	Map          *mapInfo      `json:"map,omitempty"`

	drawn *spaceMap
}

// infoRequest is what `fatvol info` was asked for.
type infoRequest struct {
	json, fragments bool
	mapTo           string   // where the map goes: mapOnTerminal or a file; empty for none
	extents         string   // the file whose extents are shown
	options         []string // of -o
}

// mapOnTerminal stands for a map between the lines of the report.
const mapOnTerminal = "-"

func infoCommand() *cobra.Command {
	var req infoRequest
	cmd := &cobra.Command{
		Use:   "info IMAGE[:PART]",
		Short: "Show the partitions and FAT volumes in IMAGE",
		Long: "Shows how IMAGE is divided, what each part holds, and of each FAT volume its geometry, label,\n" +
			"serial number, free space and state; with PART of one partition only. It reads only, also while\n" +
			"IMAGE is mounted; what it then shows is what is on the medium at that moment.\n\n" +
			"--map draws where files, free space and fragments lie: as characters, in colour on a\n" +
			"terminal, or as a picture in a file that ends in .svg or .png. --extents shows where in the\n" +
			"volume and in the image the bytes of one file are.",
		Example: "  fatvol info disk.img\n" +
			"  fatvol info --json disk.img | jq '.partitions[].volume.label'\n" +
			"  fatvol info --map disk.img\n" +
			"  fatvol info --map=disk.svg disk.img\n" +
			"  fatvol info --extents /EFI/BOOT/BOOTX64.EFI disk.img:1",
		Args: req.checkArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := parseMountOptions(currentCaller(), req.options, false)
			if err != nil {
				return failf(exitUsage, "info %s: %w", args[0], err)
			}
			p := parseVolume(args[0])
			if p.part != "" {
				cfg.image.Partition = p.part
			}
			if req.extents != "" {
				err = showExtents(cmd.OutOrStdout(), p.image, req.extents, cfg, req.json)
			} else {
				err = req.show(cmd.OutOrStdout(), p.image, cfg)
			}
			if err != nil {
				return withCode(exitFailed, fmt.Errorf("info %s: %w", args[0], imageError(p.image, err)))
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.BoolVar(&req.json, "json", false, "print JSON")
	f.BoolVar(&req.fragments, "fragments", false, "count fragments; reads the whole FAT")
	f.StringVar(&req.mapTo, "map", "", "draw a map, here or as a picture in the `file`; reads the whole FAT")
	f.Lookup("map").NoOptDefVal = mapOnTerminal
	f.StringVar(&req.extents, "extents", "", "show where the bytes of this `file` of the volume lie")
	f.StringArrayVarP(&req.options, "options", "o", nil, "mount `options` that say how to read the volume: partition=, codepage=, fat=, dos1xfloppy")
	return cmd
}

func (r *infoRequest) checkArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 2 && r.mapTo == mapOnTerminal {
		if _, err := pictureFormat(args[0]); err == nil {
			return failf(exitUsage, "info: the file of a map is given with '=': --map=%s", args[0])
		}
	}
	if r.mapTo != "" && r.extents != "" {
		return failf(exitUsage, "info: --map and --extents exclude each other: leave out one of them")
	}
	if r.mapTo != "" && r.mapTo != mapOnTerminal {
		if _, err := pictureFormat(r.mapTo); err != nil {
			return failf(exitUsage, "info: --map: %w", err)
		}
	}
	if err := notEmpty(cmd, "map", "extents"); err != nil {
		return err
	}
	return exactly("IMAGE[:PART]")(cmd, args)
}

// show prints the report, with a map where one was asked for.
func (r *infoRequest) show(out io.Writer, path string, cfg *config) error {
	style := mapStyleFor(out)
	scan := infoScan{fragments: r.fragments}
	switch r.mapTo {
	case "":
	case mapOnTerminal:
		scan.mapCells = style.cells()
	default:
		scan.mapCells = pictureColumns * pictureRows
	}
	info, err := readInfo(path, cfg, scan)
	if err != nil {
		return err
	}
	if r.mapTo != "" && r.mapTo != mapOnTerminal {
		panels := info.panels()
		if len(panels) == 0 {
			return fmt.Errorf("there is no FAT volume to draw a map of")
		}
		if st, err := os.Stat(path); err == nil && isFileAt(r.mapTo, st) {
			return fmt.Errorf("--map=%s is the image itself: the picture needs another name", r.mapTo)
		}
		if err := writeMapPicture(r.mapTo, panels); err != nil {
			return fmt.Errorf("map: %w", err)
		}
		info.dropMaps()
	}
	if r.json {
		enc := json.NewEncoder(out)
		enc.SetIndent("", "  ")
		return withCode(exitSystem, enc.Encode(info))
	}
	_, err = io.WriteString(out, info.text(style))
	return withCode(exitSystem, err)
}

// infoScan says what is worth reading the whole FAT for.
type infoScan struct {
	fragments bool
	mapCells  int // cells of a map; 0 for none
}

// readInfo looks at an image, without taking it from whoever has it.
func readInfo(path string, cfg *config, scan infoScan) (*imageInfo, error) {
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
	parts := layout.Partitions
	if choice := cfg.image.Partition; choice != "" {
		p, err := layout.Choose(choice, true)
		if err != nil {
			return nil, err
		}
		parts = []image.Partition{p}
	}
	for _, p := range parts {
		info.Partitions = append(info.Partitions, readPartition(host, p, cfg, scan))
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

func readPartition(host device.Device, p image.Partition, cfg *config, scan infoScan) partitionInfo {
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
	if err := out.Volume.measure(host, p, cfg, scan); err != nil {
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
func (out *volumeInfo) measure(host device.Device, p image.Partition, cfg *config, scan infoScan) error {
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
	return errors.Join(statErr, labelErr, out.scanTable(section, p.Content.Geometry, scan), volume.Close())
}

// scanTable adds what takes reading the whole FAT.
func (out *volumeInfo) scanTable(dev device.Device, g *fat.Geometry, scan infoScan) (err error) {
	switch {
	case scan.mapCells > 0:
		if out.drawn, err = drawSpaceMap(dev, g, scan.mapCells); err != nil {
			return err
		}
		out.Map = out.drawn.info()
		if scan.fragments {
			out.Fragments = &out.drawn.fragmentInfo
		}
	case scan.fragments:
		out.Fragments, err = countFragments(dev, g)
	}
	return err
}
