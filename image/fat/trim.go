package fat

import (
	"fmt"

	"fatvol/image/device"
)

// Trim gives the storage under free clusters back to the host: those of the bytes [start,
// start+length) of the data area, in runs of at least minLen bytes. It returns the number of bytes
// given back; errors.ErrUnsupported where the device cannot.
func (v *Volume) Trim(start, length, minLen int64) (int64, error) {
	if err := v.enterWrite(); err != nil {
		return 0, fmt.Errorf("trim: %w", err)
	}
	defer v.leave()
	if start < 0 || length < 0 || minLen < 0 {
		return 0, fmt.Errorf("trim: %w", ErrInvalid)
	}
	total := int64(v.geo.Clusters) << v.geo.ClusterShift
	if start >= total {
		return 0, fmt.Errorf("trim from %d, volume has %d bytes: %w", start, total, ErrInvalid)
	}
	// What was freed lately can go as well.
	if err := v.reclaim(); err != nil {
		return 0, fmt.Errorf("trim: %w", err)
	}
	size := int64(v.geo.ClusterSize)
	end := min(length, total-start) + start
	from := firstCluster + Cluster((start+size-1)/size)
	to := firstCluster + Cluster(end/size)
	var done int64
	err := v.tab.freeRuns(from, to, func(e extent) error {
		if err := v.usable(); err != nil {
			return err
		}
		n := int64(e.n) * size
		if n < minLen {
			return nil
		}
		if err := device.DiscardAt(v.dev, v.clusterOffset(e.start), n); err != nil {
			return err
		}
		v.dataSeq.Add(1)
		done += n
		return nil
	})
	if err != nil {
		return done, fmt.Errorf("trim: %w", err)
	}
	return done, nil
}
