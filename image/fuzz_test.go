package image

import (
	"runtime"
	"testing"
	"time"

	"fatvol/image/device"
)

// FuzzScan scans arbitrary bytes at the places of a large device where tables are: its first
// sectors, a chain of logical partitions, its end. Whatever they say, the scan ends soon, takes
// little memory, and what it would let be opened lies within the device.
func FuzzScan(f *testing.F) {
	const size = 256 * mib
	mbr := device.NewMem(size)
	putTable(f, mbr, 0, entry{0x80, 6, 63, 1000}, entry{0, 5, 8, 50000}, entry{0, 0x0f, 16, 50000})
	putTable(f, mbr, 8*512, entry{0, 6, 63, 1000}, entry{0, 5, 0, 3000})
	putTable(f, mbr, 16*512, entry{0, 6, 63, 1000}, entry{0, 5, 2, 3000})
	putTable(f, mbr, 18*512, entry{0, 6, 63, 1000}, entry{0, 5, 0, 3000})
	gpt := device.NewMem(size)
	putGPT(f, gpt, gptSpec{parts: []gptPart{{34, 100, "a"}, {0, 1<<64 - 1, "b"}, {50, 60, "c"}}})
	gpt4k := device.NewMem(size)
	putGPT(f, gpt4k, gptSpec{ss: 4096, count: 16, parts: []gptPart{{34, 100, "a"}}})
	const window = 20 << 10
	for _, m := range []*device.Mem{
		mbr, gpt, gpt4k,
		fatVolume(f, 360*kib), fatVolume(f, 16*mib, "-F", "16"), fatVolume(f, 64*mib, "-F", "32", "-n", "LABEL"),
	} {
		f.Add(read(f, m, 0, window), read(f, m, m.Size()-window, window))
	}
	f.Add([]byte{}, []byte{})
	f.Fuzz(func(t *testing.T, head, tail []byte) {
		m := device.NewMem(size)
		if len(head) > int(size/2) || len(tail) > int(size/2) {
			t.Skip()
		}
		write(t, m, 0, head)
		write(t, m, size-int64(len(tail)), tail)
		checkScan(t, m)
		// The same bytes as a device of their own, where nearly everything is beyond the end.
		short := device.NewMem(int64(len(head)))
		write(t, short, 0, head)
		checkScan(t, short)
	})
}

func checkScan(t *testing.T, m *device.Mem) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := time.Now()
	l, err := Scan(m)
	if err != nil {
		t.Fatalf("a device in memory failed: %v", err)
	}
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 256<<20 {
		t.Errorf("%d bytes allocated", n)
	}
	if d := time.Since(start); d > 5*time.Second {
		t.Errorf("took %v", d)
	}
	if len(l.Partitions) > gptMaxEntries {
		t.Errorf("%d partitions", len(l.Partitions))
	}
	seen := make(map[int]bool)
	for i, p := range l.Partitions {
		if seen[p.Number] {
			t.Errorf("two partitions %d", p.Number)
		}
		seen[p.Number] = true
		if p.Content.Kind == "" {
			t.Errorf("partition %d is of no kind", p.Number)
		}
		for _, readOnly := range []bool{false, true} {
			if p.usable(readOnly) != nil {
				continue
			}
			if p.Start < 0 || p.Size <= 0 || p.end() > m.Size() || p.end() < p.Start {
				t.Errorf("partition %d of %d bytes at %d may be opened", p.Number, p.Size, p.Start)
			}
			if g := p.Content.Geometry; g.Size > p.Size {
				t.Errorf("partition %d of %d bytes holds a volume of %d", p.Number, p.Size, g.Size)
			}
			if readOnly {
				continue
			}
			for j, q := range l.Partitions {
				if i != j && q.Size > 0 && !q.Extended && p.overlaps(q) {
					t.Errorf("partition %d may be written to and overlaps %d", p.Number, q.Number)
				}
			}
			if p.Number > 0 && p.Start < 512 {
				t.Errorf("partition %d may be written to and begins with the table", p.Number)
			}
		}
	}
	for _, choice := range []string{"", "1", "x"} {
		if _, err := l.Choose(choice, false); err != nil && err.Error() == "" {
			t.Error("an error without words")
		}
	}
}
