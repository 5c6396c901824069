package image

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"fatvol/image/device"
	"fatvol/image/device/faultdev"
)

// TestResizePartitionPowerCut cuts the power at every moment of a change of a table: the partition has
// its old size or its new one, and the others are as they were.
func TestResizePartitionPowerCut(t *testing.T) {
	const size = 4 << 20
	for _, tc := range []struct {
		name           string
		gpt            bool
		number         int
		to             int64 // bytes
		before, device int64 // length of the image before and while the table is written
		after          int64 // what the image will be cut off to
	}{
		{"MBR larger", false, 1, 1 << 20, size, size, size},
		{"MBR smaller", false, 2, 100 << 10, size, size, size},
		{"GPT larger", true, 1, 1 << 20, size, size, size},
		{"GPT larger image", true, 2, 8 << 20, size, 12 << 20, 12 << 20},
		{"GPT smaller image", true, 2, 512 << 10, size, size, 3 << 20},
	} {
		t.Run(tc.name, func(t *testing.T) {
			disk := device.NewMem(tc.before)
			if tc.gpt {
				putGPT(t, disk, gptSpec{parts: []gptPart{{64, 255, "one"}, {4096, 6000, "two"}}})
			} else {
				putTable(t, disk, 0, entry{0x80, 6, 64, 192}, entry{0, 6, 4096, 1905})
			}
			long := device.NewMem(tc.device)
			write(t, long, 0, read(t, disk, 0, tc.before))
			l := scan(t, disk)
			p := l.Partitions[tc.number-1]
			other := l.Partitions[2-tc.number]
			base, rec := long.Clone(), faultdev.NewRecorder(long)
			if err := l.ResizePartition(rec, p, tc.to, tc.after); err != nil {
				t.Fatal(err)
			}
			look := func(what string, m *device.Mem, done bool) {
				now := scan(t, m)
				if len(now.Partitions) != 2 {
					t.Fatalf("%s: %d partitions", what, len(now.Partitions))
				}
				q := now.Partitions[tc.number-1]
				if q.Start != p.Start || q.Size != tc.to && (q.Size != p.Size || done) || q.UUID != p.UUID || q.Name != p.Name {
					t.Errorf("%s: partition of %d bytes at %d, it had %d at %d", what, q.Size, q.Start, p.Size, p.Start)
				}
				if o := now.Partitions[2-tc.number]; o.Start != other.Start || o.Size != other.Size || o.UUID != other.UUID {
					t.Errorf("%s: the other partition has changed: %+v", what, o)
				}
			}
			rng := rand.New(rand.NewPCG(1, 2))
			for at := 0; at <= rec.Len(); at++ {
				m := base.Clone()
				if err := rec.Replay(m, at); err != nil {
					t.Fatal(err)
				}
				look(fmt.Sprintf("cut after write %d", at), m, at == rec.Len())
				for range 5 {
					m := base.Clone()
					if err := rec.Scatter(m, at, rng); err != nil {
						t.Fatal(err)
					}
					look(fmt.Sprintf("cut after write %d, in any order", at), m, false)
				}
			}
			// At its final length nothing is said about the copies.
			end := device.NewMem(tc.after)
			write(t, end, 0, read(t, long, 0, tc.after))
			look("at its final length", end, true)
			if notes := scan(t, end).Notes; len(notes) > 0 {
				t.Errorf("notes: %q", notes)
			}
		})
	}
}

func TestRoomFor(t *testing.T) {
	disk := device.NewMem(4 << 20)
	putGPT(t, disk, gptSpec{parts: []gptPart{{64, 255, "one"}, {4096, 6000, "two"}}})
	l := scan(t, disk)
	if r, err := l.RoomFor(l.Partitions[0]); err != nil || r.Last || r.Limit != (4096-64)*512 {
		t.Errorf("first: %+v, %v", r, err)
	}
	r, err := l.RoomFor(l.Partitions[1])
	if err != nil || !r.Last || r.Limit != 4<<20-33*512-4096*512 {
		t.Errorf("last: %+v, %v", r, err)
	}
	if got := r.ImageSize(l.Partitions[1], 1<<20); got != 4096*512+1<<20+33*512 {
		t.Errorf("image of %d bytes", got)
	}
	if err := l.ResizePartition(disk, l.Partitions[1], r.Limit+512, 4<<20); !errors.Is(err, ErrRoom) {
		t.Errorf("larger than there is room: %v", err)
	}
	for _, bad := range []Partition{{Logical: true}} {
		if _, err := (&Layout{Scheme: MBR, SectorSize: 512}).RoomFor(bad); !errors.Is(err, ErrRoom) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	if _, err := (&Layout{Scheme: Hybrid, SectorSize: 512}).RoomFor(Partition{Number: 1}); !errors.Is(err, ErrRoom) {
		t.Errorf("hybrid: %v", err)
	}
}
