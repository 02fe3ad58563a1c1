package cell

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"syscall"
	"unsafe"
)

// Device is the name of a cell's network device.
const Device = "eth0"

// Join gives the calling program's network a device of that address, with its
// prefix's length, and returns the device's other end: Ethernet frames, one with
// each Read and Write. The device lasts as long as that is open.
func Join(address string) (*os.File, error) {
	tap, err := openTap()
	if err != nil {
		return nil, err
	}
	return tap, errors.Join(ip("addr", "add", address, "dev", Device), links(Device))
}

// Private

// openTap makes the device in the network namespace of the calling thread.
func openTap() (*os.File, error) {
	fd, err := syscall.Open("/dev/net/tun", syscall.O_RDWR|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open /dev/net/tun: %w", err)
	}
	const (
		ifReqSize  = 40
		flagsAt    = 16 // in struct ifreq, behind the name
		setIff     = 0x400454ca
		tapNoInfo  = 0x0002 | 0x1000 // IFF_TAP | IFF_NO_PI
		deviceName = Device
	)
	var request [ifReqSize]byte
	copy(request[:flagsAt-1], deviceName)
	binary.LittleEndian.PutUint16(request[flagsAt:], tapNoInfo)
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), setIff, uintptr(unsafe.Pointer(&request))); errno != 0 {
		_ = syscall.Close(fd)
		return nil, fmt.Errorf("make a network device: %w", errno)
	}
	return os.NewFile(uintptr(fd), "tap"), nil
}

// sendFile passes an open file through a Unix socket.
func sendFile(socket int, f *os.File) error {
	if err := syscall.Sendmsg(socket, []byte{0}, syscall.UnixRights(int(f.Fd())), nil, 0); err != nil {
		return fmt.Errorf("pass a file: %w", err)
	}
	return nil
}

// receiveFile takes what sendFile has passed.
func receiveFile(socket int, name string) (*os.File, error) {
	const oneFile = 4
	control := make([]byte, syscall.CmsgSpace(oneFile))
	_, n, _, _, err := syscall.Recvmsg(socket, make([]byte, 1), control, 0)
	if err != nil {
		return nil, fmt.Errorf("take a file: %w", err)
	}
	messages, err := syscall.ParseSocketControlMessage(control[:n])
	if err != nil || len(messages) != 1 {
		return nil, fmt.Errorf("take a file: there is none: %w", err)
	}
	fds, err := syscall.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		return nil, fmt.Errorf("take a file: there is none: %w", err)
	}
	syscall.CloseOnExec(fds[0])
	// Nonblocking files are waited for by the runtime, not by a thread each.
	if err := syscall.SetNonblock(fds[0], true); err != nil {
		return nil, fmt.Errorf("take a file: %w", err)
	}
	return os.NewFile(uintptr(fds[0]), name), nil
}
