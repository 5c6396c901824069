package mkfat

import (
	"context"
	"testing"

	"fatvol/image"
	"fatvol/image/device"
)

// TestLargestPartitions: the volume is found by the table also where its partition has as many sectors as the table
// can count, and one more.
func TestLargestPartitions(t *testing.T) {
	const most = 1 << 32 // sectors, one more than 32 bits count
	for _, scheme := range []Scheme{MBR, GPT} {
		for _, sectors := range []int64{most - 1, most} {
			size := alignment + sectors*minSectorSize
			if scheme == GPT {
				size += gptTail(minSectorSize)
			}
			p, err := New(nil, Options{Size: size, Partition: scheme, Label: "LARGE"})
			if err != nil {
				t.Fatal(err)
			}
			dev := device.NewMem(size)
			if err := p.Write(context.Background(), dev, true, nil); err != nil {
				t.Fatal(err)
			}
			v, err := image.Locate(dev, image.OpenOptions{Partition: "LARGE"})
			if err != nil || v.Partition.Start != p.Start || v.Partition.Size < p.Shape.Sectors*minSectorSize {
				t.Errorf("scheme %d, %d sectors: %v", scheme, sectors, err)
			}
		}
	}
}
