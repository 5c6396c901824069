package image

// mbrTypeName says what a partition type is for. Only what one meets next to FAT is listed.
func mbrTypeName(t byte) string { return mbrTypes[t] }

var mbrTypes = map[byte]string{
	0x01: "FAT12",
	0x04: "FAT16, below 32 MiB",
	0x05: "extended",
	0x06: "FAT16",
	0x07: "NTFS or exFAT",
	0x0b: "FAT32",
	0x0c: "FAT32 (LBA)",
	0x0e: "FAT16 (LBA)",
	0x0f: "extended (LBA)",
	0x11: "hidden FAT12",
	0x14: "hidden FAT16, below 32 MiB",
	0x16: "hidden FAT16",
	0x17: "hidden NTFS or exFAT",
	0x1b: "hidden FAT32",
	0x1c: "hidden FAT32 (LBA)",
	0x1e: "hidden FAT16 (LBA)",
	0x27: "Windows recovery",
	0x82: "Linux swap",
	0x83: "Linux",
	0x85: "Linux extended",
	0x8e: "Linux LVM",
	0xa5: "FreeBSD",
	0xa6: "OpenBSD",
	0xa8: "Darwin UFS",
	0xa9: "NetBSD",
	0xab: "Darwin boot",
	0xaf: "HFS+",
	0xda: "data",
	0xea: "boot loader files",
	0xee: "GPT protective",
	0xef: "EFI system",
	0xfd: "Linux RAID",
}

// gptTypeName says what a partition type GUID, in upper case, is for.
func gptTypeName(guid string) string { return gptTypes[guid] }

var gptTypes = map[string]string{
	"C12A7328-F81F-11D2-BA4B-00A0C93EC93B": "EFI system",
	"21686148-6449-6E6F-744E-656564454649": "BIOS boot",
	"EBD0A0A2-B9E5-4433-87C0-68B6B72699C7": "Microsoft basic data",
	"E3C9E316-0B5C-4DB8-817D-F92DF00215AE": "Microsoft reserved",
	"DE94BBA4-06D1-4D40-A16A-BFD50179D6AC": "Windows recovery",
	"0FC63DAF-8483-4772-8E79-3D69D8477DE4": "Linux",
	"0657FD6D-A4AB-43C4-84E5-0933C84B4F4F": "Linux swap",
	"BC13C2FF-59E6-4262-A352-B275FD6F7172": "Linux extended boot",
	"4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709": "Linux root (x86-64)",
	"B921B045-1DF0-41C3-AF44-4C6F280D3FAE": "Linux root (ARM64)",
	"933AC7E1-2EB4-4F13-B844-0E14E2AEF915": "Linux home",
	"E6D6D379-F507-44C2-A23C-238F2A3DF928": "Linux LVM",
	"CA7D7CCB-63ED-4C53-861C-1742536059CC": "Linux LUKS",
	"A19D880F-05FC-4D3B-A006-743F0F84911E": "Linux RAID",
	"48465300-0000-11AA-AA11-00306543ECAC": "HFS+",
	"7C3457EF-0000-11AA-AA11-00306543ECAC": "APFS",
	"516E7CB6-6ECF-11D6-8FF8-00022D09712B": "FreeBSD UFS",
}
