package fat

import (
	"testing"
	"time"
	_ "time/tzdata" // the zones of the tests, on machines without them too
)

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return loc
}

func stamp(y, mo, d, h, mi, s int) (date, tim uint16) {
	return uint16((y-1980)<<9 | mo<<5 | d), uint16(h<<11 | mi<<5 | s/2)
}

var utcClock = NewClock(nil, 0, true)

func TestClockBothWays(t *testing.T) {
	tests := []struct {
		at        string // exact
		date, tim uint16
		centis    uint8
	}{
		{"1980-01-01T00:00:00Z", 0x0021, 0x0000, 0},
		{"1980-01-01T00:00:01.99Z", 0x0021, 0x0000, 199},
		{"1999-12-31T23:59:58Z", 0x279f, 0xbf7d, 0},
		{"2000-02-29T12:34:56.78Z", 0x285d, 0x645c, 78},
		{"2024-02-29T00:00:00Z", 0x585d, 0x0000, 0},
		{"2038-01-19T03:14:08Z", 0x7433, 0x19c4, 0},
		{"2100-02-28T23:59:59.99Z", 0xf05c, 0xbf7d, 199},
		{"2107-12-31T23:59:59.99Z", 0xff9f, 0xbf7d, 199},
	}
	for _, tt := range tests {
		at, err := time.Parse(time.RFC3339Nano, tt.at)
		if err != nil {
			t.Fatal(err)
		}
		date, tim, centis := utcClock.Encode(at)
		if date != tt.date || tim != tt.tim || centis != tt.centis {
			t.Errorf("%s: %04x %04x %d, want %04x %04x %d", tt.at, date, tim, centis, tt.date, tt.tim, tt.centis)
		}
		if got := utcClock.Decode(tt.date, tt.tim, tt.centis); !got.Equal(at) {
			t.Errorf("%s: back as %v", tt.at, got)
		}
	}
}

func TestClockRoundsDown(t *testing.T) {
	at := time.Date(2024, 5, 6, 7, 8, 9, 987654321, time.UTC)
	for _, tt := range []struct {
		name string
		got  time.Time
		want time.Time
	}{
		{"modify", utcClock.RoundModify(at), time.Date(2024, 5, 6, 7, 8, 8, 0, time.UTC)},
		{"create", utcClock.RoundCreate(at), time.Date(2024, 5, 6, 7, 8, 9, 980e6, time.UTC)},
		{"access", utcClock.RoundAccess(at), time.Date(2024, 5, 6, 0, 0, 0, 0, time.UTC)},
	} {
		if !tt.got.Equal(tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, tt.got, tt.want)
		}
	}
}

func TestClockClamps(t *testing.T) {
	for _, c := range []Clock{utcClock, NewClock(zone(t, "America/New_York"), 0, false), NewClock(nil, 14*time.Hour, true)} {
		for _, at := range []time.Time{{}, time.Unix(0, 0), time.Date(1979, 6, 1, 0, 0, 0, 0, time.UTC), time.Unix(-1<<50, 0)} {
			if d, tm, cs := c.Encode(at); d != 0x0021 || tm != 0 || cs != 0 {
				t.Errorf("%v: %04x %04x %d", at, d, tm, cs)
			}
		}
		for _, at := range []time.Time{time.Date(2108, 6, 1, 0, 0, 0, 0, time.UTC), time.Unix(1<<50, 0)} {
			if d, tm, cs := c.Encode(at); d != 0xff9f || tm != 0xbf7d || cs != 199 {
				t.Errorf("%v: %04x %04x %d", at, d, tm, cs)
			}
		}
	}
	// The limits are those of local time.
	c := NewClock(nil, time.Hour, true)
	if d, tm, _ := c.Encode(time.Date(1979, 12, 31, 23, 0, 0, 0, time.UTC)); d != 0x0021 || tm != 0 {
		t.Errorf("midnight at UTC+1: %04x %04x", d, tm)
	}
}

func TestClockHostileStamps(t *testing.T) {
	tests := []struct {
		date, tim uint16
		centis    uint8
		want      string
	}{
		{0, 0, 0, "1980-01-01T00:00:00Z"},
		{0, 0xffff, 0xff, "1980-01-01T23:59:59.99Z"},
		{0xffff, 0xffff, 0xff, "2107-12-31T23:59:59.99Z"},
		{44<<9 | 2<<5 | 31, 0, 0, "2024-02-29T00:00:00Z"},
		{43<<9 | 2<<5 | 30, 0, 0, "2023-02-28T00:00:00Z"},
		{120<<9 | 2<<5 | 29, 0, 0, "2100-02-28T00:00:00Z"},
		{44<<9 | 13<<5 | 1, 0, 0, "2024-12-01T00:00:00Z"},
		{44<<9 | 0<<5 | 5, 0, 0, "2024-01-05T00:00:00Z"},
		{44<<9 | 4<<5 | 0, 31 << 11, 0, "2024-04-01T23:00:00Z"},
		{44<<9 | 4<<5 | 1, 63<<5 | 31, 200, "2024-04-01T00:59:59.99Z"},
	}
	for _, tt := range tests {
		if got := utcClock.Decode(tt.date, tt.tim, tt.centis).Format(time.RFC3339Nano); got != tt.want {
			t.Errorf("%04x %04x %d: %s, want %s", tt.date, tt.tim, tt.centis, got, tt.want)
		}
	}
}

func TestClockZones(t *testing.T) {
	tests := []struct {
		name  string
		clock Clock
		at    string
		want  [6]int
	}{
		{"tz=UTC", NewClock(nil, 0, true), "2024-07-01T12:00:00Z", [6]int{2024, 7, 1, 12, 0, 0}},
		{"time_offset=90", NewClock(nil, 90*time.Minute, true), "2024-07-01T12:00:00Z", [6]int{2024, 7, 1, 13, 30, 0}},
		{"time_offset=-720", NewClock(nil, -12*time.Hour, true), "2024-07-01T11:00:00Z", [6]int{2024, 6, 30, 23, 0, 0}},
		{"Berlin in summer", NewClock(zone(t, "Europe/Berlin"), 0, false), "2024-07-01T12:00:00Z", [6]int{2024, 7, 1, 14, 0, 0}},
		{"Berlin in winter", NewClock(zone(t, "Europe/Berlin"), 0, false), "2024-01-01T12:00:00Z", [6]int{2024, 1, 1, 13, 0, 0}},
		{"a fixed offset ignores the zone", NewClock(zone(t, "Europe/Berlin"), 0, true), "2024-07-01T12:00:00Z", [6]int{2024, 7, 1, 12, 0, 0}},
		{"Kathmandu", NewClock(zone(t, "Asia/Kathmandu"), 0, false), "2024-07-01T12:00:00Z", [6]int{2024, 7, 1, 17, 45, 0}},
	}
	for _, tt := range tests {
		at, err := time.Parse(time.RFC3339, tt.at)
		if err != nil {
			t.Fatal(err)
		}
		wantDate, wantTime := stamp(tt.want[0], tt.want[1], tt.want[2], tt.want[3], tt.want[4], tt.want[5])
		if d, tm, _ := tt.clock.Encode(at); d != wantDate || tm != wantTime {
			t.Errorf("%s: %04x %04x, want %04x %04x", tt.name, d, tm, wantDate, wantTime)
		}
		if got := tt.clock.Decode(wantDate, wantTime, 0); !got.Equal(at) {
			t.Errorf("%s: back as %v", tt.name, got)
		}
	}
}

func TestClockZeroValueIsLocal(t *testing.T) {
	at := time.Date(2024, 7, 1, 12, 0, 0, 0, time.Local)
	date, tim := stamp(2024, 7, 1, 12, 0, 0)
	if d, tm, _ := (Clock{}).Encode(at); d != date || tm != tim {
		t.Errorf("%04x %04x", d, tm)
	}
	if got := (Clock{}).Decode(date, tim, 0); !got.Equal(at) {
		t.Errorf("%v", got)
	}
}

// TestClockChanges: an hour that clocks show twice is read as the first one, an hour that they skip
// as the same time after the change, whatever the size and the hour of the change.
func TestClockChanges(t *testing.T) {
	tests := []struct {
		zone string
		wall [6]int
		want string
	}{
		{"Europe/Berlin", [6]int{2024, 10, 27, 1, 59, 58}, "2024-10-26T23:59:58Z"},
		{"Europe/Berlin", [6]int{2024, 10, 27, 2, 0, 0}, "2024-10-27T00:00:00Z"},
		{"Europe/Berlin", [6]int{2024, 10, 27, 2, 59, 58}, "2024-10-27T00:59:58Z"},
		{"Europe/Berlin", [6]int{2024, 10, 27, 3, 0, 0}, "2024-10-27T02:00:00Z"},
		{"Europe/Berlin", [6]int{2024, 3, 31, 1, 59, 58}, "2024-03-31T00:59:58Z"},
		{"Europe/Berlin", [6]int{2024, 3, 31, 2, 0, 0}, "2024-03-31T01:00:00Z"},
		{"Europe/Berlin", [6]int{2024, 3, 31, 2, 30, 0}, "2024-03-31T01:30:00Z"},
		{"Europe/Berlin", [6]int{2024, 3, 31, 3, 0, 0}, "2024-03-31T01:00:00Z"},
		{"America/New_York", [6]int{2024, 11, 3, 1, 30, 0}, "2024-11-03T05:30:00Z"},
		{"America/New_York", [6]int{2024, 3, 10, 2, 30, 0}, "2024-03-10T07:30:00Z"},
		{"Australia/Lord_Howe", [6]int{2024, 4, 7, 1, 45, 0}, "2024-04-06T14:45:00Z"},
		{"Australia/Lord_Howe", [6]int{2024, 10, 6, 2, 15, 0}, "2024-10-05T15:45:00Z"},
		{"America/Sao_Paulo", [6]int{2018, 11, 4, 0, 0, 0}, "2018-11-04T03:00:00Z"},
		{"America/Sao_Paulo", [6]int{2018, 2, 17, 23, 30, 0}, "2018-02-18T01:30:00Z"},
		{"Pacific/Apia", [6]int{2011, 12, 30, 12, 0, 0}, "2011-12-30T22:00:00Z"}, // no such day
	}
	for _, tt := range tests {
		c := NewClock(zone(t, tt.zone), 0, false)
		date, tim := stamp(tt.wall[0], tt.wall[1], tt.wall[2], tt.wall[3], tt.wall[4], tt.wall[5])
		got := c.Decode(date, tim, 0)
		if s := got.UTC().Format(time.RFC3339); s != tt.want {
			t.Errorf("%s %v: %s, want %s", tt.zone, tt.wall, s, tt.want)
		}
	}
}

// checkStable checks what holds for every instant in every zone.
func checkStable(t *testing.T, c Clock, at time.Time) {
	t.Helper()
	for _, r := range []struct {
		name  string
		round func(time.Time) time.Time
		by    time.Duration
	}{
		{"modify", c.RoundModify, 2 * time.Second}, {"create", c.RoundCreate, 10 * time.Millisecond}, {"access", c.RoundAccess, 25 * time.Hour},
	} {
		got := r.round(at)
		if again := r.round(got); !again.Equal(got) {
			t.Errorf("%s: %v becomes %v, which becomes %v", r.name, at, got, again)
		}
		if year := at.In(c.location()).Year(); year >= firstYear && year <= lastYear {
			// Where clocks are turned back the hour before counts as the first of two.
			if got.After(at) || at.Sub(got) >= r.by+2*time.Hour {
				t.Errorf("%s: %v becomes %v", r.name, at, got)
			}
		}
	}
}

func TestClockIsStable(t *testing.T) {
	for _, name := range []string{"UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Sao_Paulo", "Asia/Gaza", "Africa/Casablanca"} {
		c := NewClock(zone(t, name), 0, false)
		for at := time.Date(1979, 12, 30, 0, 0, 0, 0, time.UTC); at.Year() < 2109; at = at.Add(151*time.Hour + 17*time.Minute + 13*time.Second + 7*time.Millisecond) {
			checkStable(t, c, at)
		}
		for at := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC); at.Year() < 2025; at = at.Add(29 * time.Minute) {
			checkStable(t, c, at)
		}
	}
}

// TestClockShortCut: far from changes of the clock the short way is taken, and gives what the long one does; so it does near them.
func TestClockShortCut(t *testing.T) {
	for _, name := range []string{"UTC", "Europe/Berlin", "Australia/Lord_Howe", "Pacific/Apia", "Africa/Casablanca", "Pacific/Kiritimati"} {
		loc := zone(t, name)
		for wall := time.Date(2009, 1, 1, 0, 0, 2, 0, time.UTC); wall.Year() < 2013; wall = wall.Add(23 * time.Minute) {
			if short, long := instant(wall, loc), instantNear(wall, loc); !short.Equal(long) || short.Location() != long.Location() {
				t.Fatalf("%v in %s: %v, and %v by the long way", wall, name, short, long)
			}
		}
	}
	for at := time.Date(firstYear, 1, 1, 0, 0, 0, 0, time.UTC); at.Year() <= lastYear; at = at.AddDate(0, 1, 0) {
		if got, want := daysIn(at.Year(), int(at.Month())), at.AddDate(0, 1, -1).Day(); got != want {
			t.Errorf("%v has %d days, want %d", at.Format("2006-01"), got, want)
		}
	}
}

func FuzzTime(f *testing.F) {
	f.Add(uint16(0), uint16(0), uint8(0), int64(0), int32(0))
	f.Add(uint16(0xffff), uint16(0xffff), uint8(0xff), int64(1<<62), int32(3600))
	f.Add(uint16(0x595b), uint16(0x13c0), uint8(100), int64(1729990800e9), int32(-43200))
	zones := []*time.Location{zone(f, "Europe/Berlin"), zone(f, "America/Sao_Paulo"), zone(f, "Pacific/Apia"), zone(f, "Australia/Lord_Howe"), time.UTC}
	f.Fuzz(func(t *testing.T, date, tim uint16, centis uint8, unix int64, offset int32) {
		clocks := []Clock{NewClock(nil, time.Duration(offset%90000)*time.Second, true)}
		for _, loc := range zones {
			clocks = append(clocks, NewClock(loc, 0, false))
		}
		for _, c := range clocks {
			got := c.Decode(date, tim, centis)
			// A day can be skipped, so a stamp of the last one may be read as the next.
			if year := got.Year(); year < firstYear || year > lastYear {
				t.Errorf("%04x %04x %d: %v", date, tim, centis, got)
			}
			if again := c.Decode(c.Encode(got)); !again.Equal(got) {
				t.Errorf("%04x %04x %d: %v, then %v", date, tim, centis, got, again)
			}
			checkStable(t, c, time.Unix(0, unix))
		}
	})
}

func BenchmarkClock(b *testing.B) {
	c := NewClock(zone(b, "Europe/Berlin"), 0, false)
	b.ReportAllocs()
	at := time.Date(2024, 7, 1, 12, 0, 0, 0, time.UTC)
	for b.Loop() {
		c.Decode(c.Encode(at))
	}
}
