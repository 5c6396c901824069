package main

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestHumanSize(t *testing.T) {
	for _, tc := range []struct {
		n    int64
		want string
	}{
		{0, "0 B"}, {1023, "1023 B"}, {1024, "1 KiB"}, {1536, "1.5 KiB"}, {1 << 20, "1 MiB"},
		{1474560, "1.4 MiB"}, {4<<30 - 1, "4 GiB"}, {2 << 40, "2 TiB"}, {1<<63 - 1, "8 EiB"},
	} {
		if got := humanSize(tc.n); got != tc.want {
			t.Errorf("humanSize(%d) = %q, want %q", tc.n, got, tc.want)
		}
	}
}

// What an image calls itself does not reach the terminal raw.
func TestInfoTextIsPrintable(t *testing.T) {
	free, clusters := int64(1024), uint32(2)
	info := &imageInfo{
		Path: "disk.img", Size: 1 << 20, Scheme: "gpt", SectorSize: 512, DiskID: "0000",
		Partitions: []partitionInfo{{
			Number: 1, Size: 1 << 19, Name: "na\x1b[31mme", Content: "FAT12",
			Volume: &volumeInfo{Width: 12, Label: "l\ab", OEM: "o\x1bem", FreeBytes: &free, FreeClusters: &clusters, Dirty: true},
		}, {Number: 2, Content: "ext4", Problems: []string{"ends beyond the image"}}},
	}
	text := info.text(mapStyle{})
	if strings.ContainsAny(text, "\x1b\a") {
		t.Errorf("control characters in %q", text)
	}
	for _, want := range []string{"GPT partition table", "FAT12 volume in partition 1", "dirty", "ext4", "partition 2: ends beyond the image", "1 KiB, 2 clusters"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in:\n%s", want, text)
		}
	}
}

func TestInfoJSON(t *testing.T) {
	text, err := json.Marshal(&imageInfo{Path: "a", Scheme: "none", Partitions: []partitionInfo{{Volume: &volumeInfo{}}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"partitions":[`, `"fat":0`, `"dirty":false`, `"label":""`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%s is not in %s", want, text)
		}
	}
	if strings.Contains(string(text), "free_clusters") {
		t.Errorf("a free count that is not known is told: %s", text)
	}
}
