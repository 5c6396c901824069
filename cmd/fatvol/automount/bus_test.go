package automount

import (
	"bufio"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
)

// patience bounds every wait of these tests.
const patience = 30 * time.Second

// startBus runs a D-Bus daemon of the test's own, as both the system's and the session's bus.
func startBus(t *testing.T) (conn *dbus.Conn) {
	t.Helper()
	daemon := exec.Command("dbus-daemon", "--session", "--nofork", "--print-address", "--address=unix:dir="+t.TempDir())
	out, err := daemon.StdoutPipe()
	if err == nil {
		err = daemon.Start()
	}
	if err != nil {
		t.Fatalf("%v; .ci/install-deps installs it", err)
	}
	t.Cleanup(func() {
		_ = daemon.Process.Kill()
		_ = daemon.Wait() // it was killed
	})
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	address = strings.TrimSpace(address)
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", address)
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", address)
	if conn, err = dbus.Connect(address); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// fakeUDisks is udisks2 with one drive, on a bus of the test's own.
type fakeUDisks struct {
	t    *testing.T
	conn *dbus.Conn

	mu struct {
		sync.Mutex
		objects objects
		calls   []string
		busy    bool
	}
}

const (
	fakeDrive = udisksPath + "/drives/Stick"
	fakeBlock = udisksPath + "/block_devices/sdb1"
	fakeOther = udisksPath + "/block_devices/sdb2"
	fakeDisk  = udisksPath + "/block_devices/sda1"
)

type props = map[string]dbus.Variant

func variant(v any) dbus.Variant { return dbus.MakeVariant(v) }

// startUDisks puts it on the bus, with a stick that is mounted on /media/STICK and a fixed disk.
func startUDisks(t *testing.T, conn *dbus.Conn) *fakeUDisks {
	t.Helper()
	u := &fakeUDisks{t: t, conn: conn}
	block := func(drive dbus.ObjectPath, device, label string, points ...string) map[string]props {
		return map[string]props{
			ifaceBlock: {"Drive": variant(drive), "PreferredDevice": variant([]byte(device + "\x00")), "IdLabel": variant(label), "IdType": variant("ext4")},
			ifaceFS:    {"MountPoints": variant(pointsOf(points...))},
		}
	}
	u.mu.objects = objects{
		fakeDrive:                    {ifaceDrive: {"ConnectionBus": variant("usb"), "Vendor": variant("Acme"), "Model": variant("Stick"), "CanPowerOff": variant(true), "Ejectable": variant(true)}},
		udisksPath + "/drives/Fixed": {ifaceDrive: {"ConnectionBus": variant(""), "Model": variant("Fixed")}},
		fakeBlock:                    block(fakeDrive, "/dev/sdb1", "STICK", "/media/STICK"),
		fakeOther:                    block(fakeDrive, "/dev/sdb2", ""),
		fakeDisk:                     block(udisksPath+"/drives/Fixed", "/dev/sda1", "", "/data"),
	}
	for path, export := range map[dbus.ObjectPath]map[string]any{
		udisksPath: {"GetManagedObjects": u.list},
		fakeBlock:  {"Unmount": func(map[string]dbus.Variant) *dbus.Error { return u.unmount(fakeBlock) }},
		fakeDrive:  {"PowerOff": func(map[string]dbus.Variant) *dbus.Error { return u.called("PowerOff") }, "Eject": func(map[string]dbus.Variant) *dbus.Error { return u.called("Eject") }},
	} {
		iface := map[dbus.ObjectPath]string{udisksPath: ifaceManager, fakeBlock: ifaceFS, fakeDrive: ifaceDrive}[path]
		if err := conn.ExportMethodTable(export, path, iface); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := conn.RequestName(udisksName, dbus.NameFlagDoNotQueue); err != nil || got != dbus.RequestNameReplyPrimaryOwner {
		t.Fatal(got, err)
	}
	return u
}

func pointsOf(dirs ...string) [][]byte {
	points := [][]byte{}
	for _, d := range dirs {
		points = append(points, []byte(d+"\x00"))
	}
	return points
}

func (u *fakeUDisks) list() (objects, *dbus.Error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	copied := objects{}
	for path, interfaces := range u.mu.objects {
		copied[path] = map[string]props{}
		for name, p := range interfaces {
			copied[path][name] = props{}
			for k, v := range p {
				copied[path][name][k] = v
			}
		}
	}
	return copied, nil
}

func (u *fakeUDisks) called(what string) *dbus.Error {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.mu.calls = append(u.mu.calls, what)
	return nil
}

func (u *fakeUDisks) calls() string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return strings.Join(u.mu.calls, " ")
}

func (u *fakeUDisks) setBusy(busy bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.mu.busy = busy
}

// unmount is the method: a job while it lasts, and an error if the medium is busy.
func (u *fakeUDisks) unmount(block dbus.ObjectPath) *dbus.Error {
	u.job("filesystem-unmount", block)
	u.mu.Lock()
	busy := u.mu.busy
	u.mu.Unlock()
	if busy {
		return dbus.NewError("org.freedesktop.UDisks2.Error.DeviceBusy", []any{"Error unmounting /dev/sdb1: target is busy"})
	}
	u.called("Unmount")
	u.mount(block)
	return nil
}

// mount changes the mount points of a block device, and tells so.
func (u *fakeUDisks) mount(block dbus.ObjectPath, dirs ...string) {
	u.mu.Lock()
	u.mu.objects[block][ifaceFS]["MountPoints"] = variant(pointsOf(dirs...))
	u.mu.Unlock()
	if err := u.conn.Emit(block, ifaceProps+".PropertiesChanged", ifaceFS, props{"MountPoints": variant(pointsOf(dirs...))}, []string{}); err != nil {
		u.t.Error(err)
	}
}

// job tells of a job.
func (u *fakeUDisks) job(operation string, block dbus.ObjectPath) {
	job := map[string]props{ifaceJob: {"Operation": variant(operation), "Objects": variant([]dbus.ObjectPath{block})}}
	if err := u.conn.Emit(udisksPath, ifaceManager+".InterfacesAdded", udisksPath+"/jobs/1", job); err != nil {
		u.t.Error(err)
	}
}
