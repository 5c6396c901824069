package mkfat

import "encoding/binary"

// bootCode is a boot sector that the fields are put into: the one that was given, or one whose code says
// that the disk does not boot, waits for a key and lets the BIOS go on.
func (p *Plan) bootCode() []byte {
	if p.opt.Boot != nil {
		return p.opt.Boot
	}
	const loadedAt = 0x7c00
	at := p.Shape.Width.BootCodeOffset()
	b := make([]byte, bootSectorSize)
	n := at + copy(b[at:], notBootable)
	copy(b[n:], "This disk cannot be booted. Remove it, or insert another one,\r\nand press any key.\r\n\x00")
	binary.LittleEndian.PutUint16(b[at+messageOperand:], uint16(loadedAt+n))
	return b
}

// messageOperand is where in notBootable the address of the message goes.
const messageOperand = 5

// notBootable is x86 real-mode code.
const notBootable = "\x31\xc0" + //     xor  ax, ax
	"\x8e\xd8" + //                     mov  ds, ax
	"\xbe\x00\x00" + //                 mov  si, message
	"\xfc" + //                         cld
	"\xac" + //                   next: lodsb
	"\x84\xc0" + //                     test al, al
	"\x74\x09" + //                     jz   key
	"\xb4\x0e" + //                     mov  ah, 0x0e     ; write a character
	"\xbb\x07\x00" + //                 mov  bx, 7
	"\xcd\x10" + //                     int  0x10
	"\xeb\xf2" + //                     jmp  next
	"\x31\xc0" + //                key: xor  ax, ax       ; wait for a key
	"\xcd\x16" + //                     int  0x16
	"\xcd\x19" + //                     int  0x19         ; boot from elsewhere
	"\xeb\xfe" //                 halt: jmp  halt
