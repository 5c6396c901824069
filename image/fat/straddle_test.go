package fat_test

import (
	"math/rand/v2"
	"testing"

	"fatvol/image/device"
	"fatvol/image/fat/fattest"
)

// TestCutStraddling cuts a chain that grows and shrinks by single clusters over those whose entries, on
// FAT12, lie across two sectors: what is half written there is another number.
func TestCutStraddling(t *testing.T) {
	first := 0 // length of the log once the chain is near such a cluster
	c, base := recordScene(t, fattest.Layout{Width: 12, Clusters: 900}, func(c *scene) {
		size := c.v.Geometry().ClusterSize
		all := c.Data(330 * size)
		n := c.Create("grows by clusters.bin", all)
		n.Sync()
		first = c.rec.Len()
		for i := range 24 {
			more := c.Data(size)
			c.Promise("grows by clusters.bin", all, all+more)
			n.Append(more)
			all += more
			n.Sync()
			if i%4 == 3 {
				shorter := all[:len(all)-size]
				c.Promise("grows by clusters.bin", all, shorter)
				n.Truncate(len(shorter))
				n.Sync()
				all = shorter
			}
		}
		n.Close()
	})
	verifyScattered(t, c, base, first, 12)
}

// TestCutStraddlingAfterFull: where all other clusters were given up in the open epoch, a file that grows gets one of those, and
// none whose entry lies across two sectors.
func TestCutStraddlingAfterFull(t *testing.T) {
	const clusters, straddling = 900, 2
	first := 0
	c, base := recordScene(t, fattest.Layout{Width: 12, Clusters: clusters}, func(c *scene) {
		size := c.v.Geometry().ClusterSize
		one, two, three := c.Data(size), c.Data(size), c.Data(size)
		c.Create("grows.bin", one).Close()
		c.Sync()
		c.Create("large.bin", c.Data((clusters-1-straddling)*size)).Close()
		c.Sync()
		first = c.rec.Len()
		c.Promise("grows.bin", one, one+two, one+two+three)
		c.Unlink("large.bin")
		for _, more := range []string{two, three} {
			f := c.Open("grows.bin")
			f.Append(more)
			f.Close()
			c.Sync()
		}
	})
	verifyScattered(t, c, base, first, 30)
}

// verifyScattered verifies what is there after each write from first on, with those since the last sync in part and in any order,
// in so many ways each.
func verifyScattered(t *testing.T, c *scene, base *device.Mem, first, ways int) {
	t.Helper()
	rng := rand.New(rand.NewPCG(*sceneSeed, 7))
	for upTo := first; upTo <= c.rec.Len(); upTo++ {
		for range ways {
			mixed := base.Clone()
			if err := c.rec.Scatter(mixed, upTo, rng); err != nil {
				t.Fatal(err)
			}
			if !c.verify(mixed, upTo, "scattered") {
				return
			}
		}
	}
}
