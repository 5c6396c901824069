package fat_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"fatvol/image/device"
	"fatvol/image/fat"
	"fatvol/image/fat/fattest"
)

// mended checks and repairs a volume that may hold anything. What a repair says of itself has to be true: a
// second look finds what the first has left, and no more.
func mended(t testing.TB, m *device.Mem) {
	t.Helper()
	var log []string
	first, err := fat.Check(m, fat.CheckOptions{Repair: true, Found: func(f fat.Finding) { log = append(log, fmt.Sprintf("%+v", f)) }})
	if err != nil {
		return // no volume
	}
	second, err := fat.Check(m, fat.CheckOptions{Found: func(f fat.Finding) { log = append(log, fmt.Sprintf("left: %+v", f)) }})
	if err != nil {
		t.Fatalf("after the repair, it is no volume any more: %v", err)
	}
	if first.Left == 0 && second.Found > 0 {
		t.Fatalf("nothing was to be left, and %d are:\n%s", second.Found, log)
	}
}

// TestCheckHostile repairs volumes with random damage.
func TestCheckHostile(t *testing.T) {
	bases, rounds := hostileBases(t), 900
	if testing.Short() {
		rounds = 90
	}
	for seed := range uint64(rounds) {
		rng := rand.New(rand.NewPCG(seed, 11))
		data := make([]byte, 8*(1+rng.IntN(40)))
		for i := range data {
			data[i] = byte(rng.Uint32())
		}
		base := bases[seed%uint64(len(bases))]
		m := base.Clone()
		base.Mutate(m, data)
		t.Run(fmt.Sprint(seed), func(t *testing.T) { mended(t, m) })
	}
}

func FuzzCheck(f *testing.F) {
	bases := hostileBases(f)
	f.Add(uint8(0), []byte{2, 0, 6, 0, 3, 0, 0, 0})
	f.Add(uint8(2), []byte{5, 0, 26, 0, 2, 0, 0, 0, 2, 0, 8, 0, 2, 0, 0, 0})
	f.Fuzz(func(t *testing.T, which uint8, data []byte) {
		if len(data) > 600 {
			return
		}
		base := bases[int(which)%len(bases)]
		m := base.Clone()
		base.Mutate(m, data)
		fattest.Contained(t, hostileMemory, func() { mended(t, m) })
	})
}
