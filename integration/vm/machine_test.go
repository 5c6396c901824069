//go:build linux

package vm

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/rpc"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"

	"fatvol/integration/vm/guestapi"
)

const (
	// lifetime is when a machine is ended whatever it does, unless another test takes it over.
	lifetime = 20 * time.Minute
	// bootPatience bounds the boot on a machine that has other things to do.
	bootPatience = 2 * time.Minute
	// bootTries is how often a boot is tried: under emulation on a busy machine, a kernel may miss its
	// timer's first tick and stop there.
	bootTries = 3
	// callSlack is what a call may take beyond the time that was asked of the guest.
	callSlack = 2 * time.Minute
)

// machine is a running QEMU and the agent in its guest.
type machine struct {
	dir     string // sockets, console, initramfs
	process *exec.Cmd
	ended   chan struct{} // closed when the process has ended
	killer  *time.Timer
	monitor *monitor
	guest   *rpc.Client
	sticks  []*Stick              // that are plugged in
	plugged int                   // how often a stick was plugged in
	groups  map[string]bool       // QEMU's objects for sticks of a speed
	wreck   atomic.Pointer[error] // why it cannot be used any more
}

// boot starts a machine with the initramfs and waits until its agent answers.
func boot(kernel, initrd, dir string) (_ *machine, err error) {
	m := &machine{dir: dir, ended: make(chan struct{}), groups: map[string]bool{}}
	// Without erms and fsrm the guest copies by rep movsq, not rep movsb, which is emulated byte by byte: no processor
	// is so slow at copying, next to everything else.
	m.process = exec.Command("qemu-system-x86_64",
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-sandbox", "on",
		"-machine", "q35,vmport=off,hpet=off", "-accel", "tcg,thread=multi", "-cpu", "max,la57=off,-erms,-fsrm", "-smp", "2", "-m", "1G",
		"-kernel", kernel, "-initrd", initrd, "-append",
		// panic=-1 reboots, which -no-reboot makes the end of the process. The kernel's checks of the
		// clock and the timer of a machine that is emulated in bursts find faults which there are not.
		"console=ttyS0 loglevel=5 panic=-1 nokaslr mitigations=off random.trust_cpu=on tsc=reliable no_timer_check rdinit=/init",
		"-serial", "file:"+m.consolePath(),
		"-chardev", "socket,id=monitor,server=on,wait=off,path="+m.socket("monitor"), "-mon", "chardev=monitor,mode=control",
		"-chardev", "socket,id=guest,server=on,wait=off,path="+m.socket("guest"),
		"-device", "virtio-serial-pci", "-device", "virtserialport,chardev=guest,name="+guestapi.PortName,
		"-device", "qemu-xhci,id=xhci", "-rtc", "base=utc",
	)
	var complaints bytes.Buffer
	m.process.Stdout, m.process.Stderr = &complaints, &complaints
	m.process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if err := m.process.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = m.process.Wait() // complaints say it
		close(m.ended)
	}()
	m.killer = time.AfterFunc(lifetime, func() { _ = m.process.Process.Kill() })
	defer func() {
		if err != nil {
			m.end()
			err = fmt.Errorf("boot the virtual machine: %w\n%s%s", err, complaints.Bytes(), m.console())
		}
	}()
	// The guest takes a port without anybody behind it for closed, so this comes before its boot.
	guest, err := m.dial("guest")
	if err != nil {
		return nil, err
	}
	m.guest = rpc.NewClient(guest)
	conn, err := m.dial("monitor")
	if err != nil {
		return nil, err
	}
	if m.monitor, err = newMonitor(conn); err != nil {
		return nil, err
	}
	var now int64
	if err := m.callWithin(bootPatience, "Clock", guestapi.None{}, &now); err != nil {
		return nil, err
	}
	return m, nil
}

func (m *machine) socket(name string) string { return filepath.Join(m.dir, name) }
func (m *machine) consolePath() string       { return filepath.Join(m.dir, "console") }

// dial connects to a socket of QEMU, which makes it shortly after its start.
func (m *machine) dial(name string) (net.Conn, error) {
	for end := time.Now().Add(bootPatience); ; time.Sleep(5 * time.Millisecond) {
		conn, err := net.Dial("unix", m.socket(name))
		if err == nil || time.Now().After(end) {
			return conn, err
		}
		select {
		case <-m.ended:
			return nil, errors.New("QEMU ended")
		default:
		}
	}
}

// call calls a method of the agent.
func (m *machine) call(method string, args, reply any) error {
	return m.callWithin(callSlack, method, args, reply)
}

// callWithin calls a method of the agent, and takes the machine for a wreck when that does not
// answer in time.
func (m *machine) callWithin(patience time.Duration, method string, args, reply any) error {
	if err := m.wreck.Load(); err != nil {
		return *err
	}
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case call := <-m.guest.Go(guestapi.Service+"."+method, args, reply, make(chan *rpc.Call, 1)).Done:
		if call.Error == nil {
			return nil
		}
		var said rpc.ServerError
		if !errors.As(call.Error, &said) {
			return m.wrecked(fmt.Errorf("the guest is not there any more: %w", call.Error))
		}
		return fmt.Errorf("in the guest: %s: %w", method, call.Error)
	case <-late.C:
		return m.wrecked(fmt.Errorf("the guest did not answer %s within %v", method, patience))
	case <-m.ended:
		return m.wrecked(fmt.Errorf("QEMU ended during %s", method))
	}
}

// wrecked notes why the machine cannot be used any more.
func (m *machine) wrecked(err error) error {
	m.wreck.CompareAndSwap(nil, &err)
	return err
}

// console is what the guest's kernel and its first process printed.
func (m *machine) console() string {
	data, err := os.ReadFile(m.consolePath())
	if err != nil {
		return err.Error()
	}
	return string(data)
}

// end kills QEMU and waits for its end.
func (m *machine) end() {
	m.killer.Stop()
	_ = m.process.Process.Kill()
	<-m.ended
	_ = m.wrecked(errors.New("the virtual machine has been ended"))
}
