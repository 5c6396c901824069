package fat

import "time"

// A FAT stamp is local time without a zone: a date from 1980-01-01 to 2107-12-31, a time of day in
// steps of two seconds, and for creation 0 to 199 hundredths of a second on top (FAT specification
// section 6.2).

// Clock converts between instants and FAT stamps. The zero value is local time.
//
// Local time means the rules of the zone at that date, as mtools and Windows' newer drivers read
// them, so a file from last winter shows the wall-clock time it had then. Linux' vfat applies the
// offset of the day of mounting to all dates.
//
// When clocks are turned back, two instants share a stamp, and it is read as the earlier one. A
// stamp that clocks skip when they are turned forward, which no clock in this zone has written, is
// read with the offset from before, and so as late after the change as it was meant after the last
// instant before it.
type Clock struct {
	zone *time.Location // nil is time.Local
}

// NewClock is a clock for local time in loc, or in time.Local if loc is nil. If fixed is true, loc
// does not matter and stamps are UTC plus offset at every date: tz=UTC is offset 0, and
// time_offset=N is offset N minutes.
func NewClock(loc *time.Location, offset time.Duration, fixed bool) Clock {
	if fixed {
		return Clock{time.FixedZone("", int(offset/time.Second))}
	}
	return Clock{loc}
}

func (c Clock) location() *time.Location {
	if c.zone == nil {
		return time.Local
	}
	return c.zone
}

const (
	firstYear = 1980
	lastYear  = 2107

	firstDate = 1<<5 | 1
	lastDate  = (lastYear-firstYear)<<9 | 12<<5 | 31
	lastTime  = 23<<11 | 59<<5 | 29
	lastCenti = 199
)

// Encode is the stamp of an instant, rounded down. Instants before 1980 or after 2107 become the
// first or the last stamp there is.
func (c Clock) Encode(t time.Time) (date, tim uint16, centis uint8) {
	t = t.In(c.location())
	year, month, day := t.Date()
	if year < firstYear {
		return firstDate, 0, 0
	}
	if year > lastYear {
		return lastDate, lastTime, lastCenti
	}
	hour, minute, second := t.Clock()
	date = uint16((year-firstYear)<<9 | int(month)<<5 | day)
	tim = uint16(hour<<11 | minute<<5 | second/2)
	centis = uint8(second%2*100 + t.Nanosecond()/int(10*time.Millisecond))
	return date, tim, centis
}

// Decode is the instant of a stamp. Fields out of range, which only a damaged entry has, are taken
// for the nearest value in range: a date of zero is 1980-01-01, as on Linux.
func (c Clock) Decode(date, tim uint16, centis uint8) time.Time {
	year := firstYear + int(date>>9)
	month := min(max(int(date>>5&15), 1), 12)
	day := min(max(int(date&31), 1), daysIn(year, month))
	hour := min(int(tim>>11), 23)
	minute := min(int(tim>>5&63), 59)
	centi := min(int(centis), lastCenti)
	second := min(int(tim&31), 29)*2 + centi/100
	// The nanoseconds of a whole minute would not fit an int of 32 bits.
	nano := centi % 100 * int(10*time.Millisecond)
	return instant(time.Date(year, time.Month(month), day, hour, minute, second, nano, time.UTC), c.location())
}

func daysIn(year, month int) int {
	switch month {
	case 2:
		if year%4 == 0 && year%100 != 0 || year%400 == 0 {
			return 29
		}
		return 28
	case 4, 6, 9, 11:
		return 30
	}
	return 31
}

// instant is the moment at which clocks in loc show what wall shows in UTC, as Clock defines it for
// the wall-clock times that come twice or never.
func instant(wall time.Time, loc *time.Location) time.Time {
	// Far from any change of the offset, a wall-clock time comes once.
	const far = 48 * time.Hour // no offset is as large
	at := wall.In(loc)
	from, to := at.ZoneBounds()
	if (from.IsZero() || wall.Sub(from) > far) && (to.IsZero() || to.Sub(wall) > far) {
		_, offset := at.Zone()
		return at.Add(-time.Duration(offset) * time.Second)
	}
	return instantNear(wall, loc)
}

// instantNear is instant for any time, and slower.
func instantNear(wall time.Time, loc *time.Location) time.Time {
	t := time.Date(wall.Year(), wall.Month(), wall.Day(), wall.Hour(), wall.Minute(), wall.Second(), wall.Nanosecond(), loc)
	start, end := t.ZoneBounds()
	// The offset before a change gives the earlier of two instants, and the later reading of none.
	for _, change := range [...]time.Time{start, end} {
		if change.IsZero() {
			continue
		}
		_, before := change.Add(-1).Zone()
		_, after := change.Zone()
		withBefore := wall.Add(-time.Duration(before) * time.Second)
		withAfter := wall.Add(-time.Duration(after) * time.Second)
		twice := withBefore.Before(change) && !withAfter.Before(change)
		never := !withBefore.Before(change) && withAfter.Before(change)
		if twice || never {
			return withBefore.In(loc)
		}
	}
	return t
}

// RoundModify is t as it reads back from a modification stamp: down to two seconds.
func (c Clock) RoundModify(t time.Time) time.Time {
	date, tim, _ := c.Encode(t)
	return c.Decode(date, tim, 0)
}

// RoundCreate is t as it reads back from a creation stamp: down to ten milliseconds.
func (c Clock) RoundCreate(t time.Time) time.Time { return c.Decode(c.Encode(t)) }

// RoundAccess is t as it reads back from an access date: down to midnight.
func (c Clock) RoundAccess(t time.Time) time.Time {
	date, _, _ := c.Encode(t)
	return c.Decode(date, 0, 0)
}
