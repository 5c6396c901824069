// Package automount mounts the volumes in images on removable media as these come, follows them while they
// are there, and cleans up after them when they go: the logic of `fatvol automount`.
//
// It mounts nothing itself. A System, which is the program's other commands, mounts, unmounts, and tells
// the state of what is mounted; Source says which media there are, Notifier speaks to the desktop. Between
// them is a planner, a pure function from what is seen and remembered to actions, and a loop that gathers,
// plans and carries out. docs/automount.md has the reasons.
//
// No state is kept in files. What is mounted below the directory is ours, whoever mounted it: a helper that
// is killed and started again takes up where the last one stood.
package automount
