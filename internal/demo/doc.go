// Package demo shows the main job on one machine with real parts: it runs a
// whole fleet (package localfleet), installs one version of a small app, and
// rolls out others under load from outside: good ones, which are promoted, and
// ones that are wrong in one way each, which the gate that looks there has to
// take back.
package demo
