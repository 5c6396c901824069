package main

import "fatvol/watch"

// detectors are the ways in which a mount learns that its medium went or came back.
func detectors() []watch.Detector { return watch.Detectors() }
