// Command fatvol mounts the FAT volume inside a file.
package main

func main() {}
