// Package demo shows the main job on one machine with real parts: it runs a
// whole fleet (package localfleet), installs one version of a small app, rolls
// out a good one and then a bad one, under load from outside.
package demo
